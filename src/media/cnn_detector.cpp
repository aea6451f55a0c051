// The network is header templates, and its products are loops of them.
#pragma GCC optimize("O3")

#include "cnn_detector.h"

#include <algorithm>

#include <dlib/dnn.h>
#include <dlib/opencv/cv_image.h>

#include "microemo/base/error.h"

namespace microemo::media {
namespace {

// The layers that mmod_human_face_detector.dat holds, innermost first: three convolutions that halve the picture, three that do
// not, and the score of each place.
template <typename Below, int filters>
using Halving = dlib::relu<dlib::affine<dlib::con<filters, 5, 5, 2, 2, Below>>>;
template <typename Below>
using Keeping = dlib::relu<dlib::affine<dlib::con<45, 5, 5, 1, 1, Below>>>;
using Pyramid = dlib::input_rgb_image_pyramid<dlib::pyramid_down<6>>;
using Halved = Halving<Halving<Halving<Pyramid, 16>, 32>, 32>;
using Network = dlib::loss_mmod<dlib::con<1, 9, 9, 1, 1, Keeping<Keeping<Keeping<Halved>>>>>;

}  // namespace

struct CnnDetector::State {
  Network network;
};

void check_model_file(const std::filesystem::path& file, const char* what) {
  std::error_code trouble;
  if (!std::filesystem::is_regular_file(file, trouble))
    throw DataError("there is no {} at this path", what)
        .where(file)
        .hint("check the path; dlib's models are not part of this project");
}

CnnDetector::CnnDetector(const std::filesystem::path& file) : state_(std::make_unique<State>()) {
  check_model_file(file, "detector");
  try {
    dlib::deserialize(file.string()) >> state_->network;
  } catch (const std::exception&) {
    throw DataError("this is not dlib's convolutional face detector")
        .where(file)
        .hint("give mmod_human_face_detector.dat, unpacked");
  }
}

CnnDetector::~CnnDetector() = default;

std::vector<Detection> CnnDetector::detect(const cv::Mat& gray, double threshold) {
  dlib::matrix<dlib::rgb_pixel> picture;
  dlib::assign_image(picture, dlib::cv_image<unsigned char>(gray));
  std::vector<Detection> faces;
  for (const dlib::mmod_rect& found : state_->network.process(picture, threshold)) {
    const dlib::rectangle& r = found.rect;
    faces.push_back(
        {{double(r.left()), double(r.top()), double(r.right()) + 1, double(r.bottom()) + 1}, found.detection_confidence});
  }
  std::stable_sort(faces.begin(), faces.end(), [](const Detection& a, const Detection& b) { return a.score > b.score; });
  return faces;
}

}  // namespace microemo::media
