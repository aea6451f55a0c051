// dlib is header templates: the flags of this file decide the speed, and adding up the landmark model's leaves is three times
// faster with vectorised loops.
#pragma GCC optimize("O3")

#include "face_models.h"

#include <algorithm>

#include <dlib/image_processing/frontal_face_detector.h>
#include <dlib/image_processing/shape_predictor.h>
#include <dlib/opencv/cv_image.h>
#include <opencv2/imgproc.hpp>

#include "cnn_detector.h"
#include "mean_face.h"
#include "microemo/base/error.h"

namespace microemo::media {

struct FaceModels::State {
  dlib::frontal_face_detector detector;
  std::unique_ptr<CnnDetector> cnn;
  std::unique_ptr<dlib::shape_predictor> five_points;
};

namespace {

constexpr double detector_window = 80;  // pixels; smaller faces are not seen
constexpr double search_face = 100;     // pixels of a face's width in the window of detect_near: above 80 with room for growth
constexpr double search_window = 2;     // widths of the expected box
constexpr double least_overlap = 0.3;

// Decoding the detector takes 0.25 s and loading the predictor 0.4 s, so both are kept for the process.
const dlib::frontal_face_detector& shared_detector() {
  static const dlib::frontal_face_detector detector = dlib::get_frontal_face_detector();
  return detector;
}

const dlib::shape_predictor& shared_predictor() {
  static const dlib::shape_predictor predictor = [] {
    const auto path = default_landmark_model();
    dlib::shape_predictor loaded;
    try {
      dlib::deserialize(path.string()) >> loaded;
    } catch (const dlib::serialization_error& error) {
      throw EnvironmentError("the landmark model cannot be read: {}", error.what())
          .where(path)
          .hint("install libdlib-data again");
    }
    return loaded;
  }();
  return predictor;
}

dlib::cv_image<unsigned char> dlib_view(const cv::Mat& gray) { return dlib::cv_image<unsigned char>(gray); }

Box box_of(const dlib::rectangle& r) {
  return {double(r.left()), double(r.top()), double(r.right()) + 1, double(r.bottom()) + 1};
}

Box mapped(const Box& box, double scale, double left, double top) {
  return {box.left * scale + left, box.top * scale + top, box.right * scale + left, box.bottom * scale + top};
}

cv::Mat scaled(const cv::Mat& gray, double factor) {
  cv::Mat result;
  cv::resize(gray, result, cv::Size(), factor, factor, factor < 1 ? cv::INTER_AREA : cv::INTER_LINEAR);
  return result;
}

std::unique_ptr<dlib::shape_predictor> read_five_points(const std::filesystem::path& file) {
  check_model_file(file, "landmark model");
  auto predictor = std::make_unique<dlib::shape_predictor>();
  try {
    dlib::deserialize(file.string()) >> *predictor;
  } catch (const std::exception&) {
    throw DataError("this is not a landmark model of dlib's")
        .where(file)
        .hint("give shape_predictor_5_face_landmarks.dat, unpacked");
  }
  if (predictor->num_parts() != 5)
    throw DataError("the landmark model has {} points instead of 5", predictor->num_parts())
        .where(file)
        .hint("give shape_predictor_5_face_landmarks.dat; the 68-point model is read anyway");
  return predictor;
}

dlib::rectangle rectangle_of(const Box& box) {
  return {std::lround(box.left), std::lround(box.top), std::lround(box.right) - 1, std::lround(box.bottom) - 1};
}

/// `box` moved to where the frontal detector would draw it about these corners of the eyes.
Box moved_to(const dlib::full_object_detection& five, const Box& box) {
  const dlib::point left = five.part(2), right = five.part(0);
  const double dx = double(right.x() - left.x()), dy = double(right.y() - left.y());
  const double x = double(left.x() + right.x()) / 2 - frontal_box_below * dy,
               y = double(left.y() + right.y()) / 2 + frontal_box_below * dx;
  return {x - box.width() / 2, y - box.height() / 2, x + box.width() / 2, y + box.height() / 2};
}

}  // namespace

double overlap(const Box& a, const Box& b) {
  const double width = std::min(a.right, b.right) - std::max(a.left, b.left);
  const double height = std::min(a.bottom, b.bottom) - std::max(a.top, b.top);
  if (width <= 0 || height <= 0) return 0;
  return width * height / (a.width() * a.height() + b.width() * b.height() - width * height);
}

FaceModels::FaceModels(const FaceModelFiles& files) : state_(std::make_unique<State>()) {
  shared_predictor();
  state_->detector = shared_detector();
  if (!files.cnn_detector.empty()) state_->cnn = std::make_unique<CnnDetector>(files.cnn_detector);
  if (!files.five_points.empty()) state_->five_points = read_five_points(files.five_points);
}

FaceModels::~FaceModels() = default;

std::vector<Detection> FaceModels::run(const cv::Mat& gray, double threshold) {
  if (state_->cnn) {
    auto faces = state_->cnn->detect(gray, threshold);
    if (state_->five_points)
      for (Detection& face : faces)
        face.box = moved_to((*state_->five_points)(dlib_view(gray), rectangle_of(face.box)), face.box);
    return faces;
  }
  std::vector<dlib::rect_detection> found;
  state_->detector(dlib_view(gray), found, threshold);
  std::vector<Detection> faces;
  for (const auto& face : found) faces.push_back({box_of(face.rect), face.detection_confidence});
  std::stable_sort(faces.begin(), faces.end(), [](const Detection& a, const Detection& b) { return a.score > b.score; });
  return faces;
}

std::vector<Detection> FaceModels::detect(const cv::Mat& gray, double threshold, double smallest) {
  const double factor = detector_window / smallest;
  if (factor == 1) return run(gray, threshold);
  auto faces = run(scaled(gray, factor), threshold);
  for (Detection& face : faces) face.box = mapped(face.box, 1 / factor, 0, 0);
  return faces;
}

std::optional<Detection> FaceModels::detect_near(const cv::Mat& gray, const Box& expected, double threshold) {
  const double side = std::max(expected.width(), expected.height()) * search_window;
  const double center_x = (expected.left + expected.right) / 2, center_y = (expected.top + expected.bottom) / 2;
  const cv::Rect window =
      cv::Rect(int(center_x - side / 2), int(center_y - side / 2), int(side), int(side)) & cv::Rect({}, gray.size());
  const double factor = search_face / expected.width();
  if (std::min(window.width, window.height) * factor < detector_window) return std::nullopt;
  std::optional<Detection> best;
  for (const Detection& face : run(scaled(gray(window), factor), threshold)) {
    const Detection here{mapped(face.box, 1 / factor, window.x, window.y), face.score};
    if ((!best || here.score > best->score) && overlap(here.box, expected) >= least_overlap) best = here;
  }
  return best;
}

std::array<Point, 68> FaceModels::landmarks(const cv::Mat& gray, const Box& box) const {
  const dlib::full_object_detection shape = shared_predictor()(dlib_view(gray), rectangle_of(box));
  MICROEMO_CHECK(shape.num_parts() == 68, "the landmark model has {} points instead of 68", shape.num_parts());
  std::array<Point, 68> points;
  for (unsigned i = 0; i < 68; ++i) points[i] = {double(shape.part(i).x()), double(shape.part(i).y())};
  return points;
}

}  // namespace microemo::media
