#pragma once
#include <array>
#include <memory>
#include <optional>
#include <vector>

#include <opencv2/core/mat.hpp>

#include "microemo/media/face.h"

namespace microemo::media {

struct Detection {
  Box box;
  double score = 0;
};

double overlap(const Box& a, const Box& b);  ///< intersection over union

/// dlib's frontal face detector and 68-point shape predictor. The models are loaded once per process and kept; an object holds a
/// detector of its own, because dlib's is not thread-safe. One per thread. The user's convolutional detector takes the frontal
/// one's place.
class FaceModels {
 public:
  /// Throws Error(environment) when the landmark model is missing, Error(data) for a file that does not hold what it should.
  explicit FaceModels(const FaceModelFiles& files = {});
  ~FaceModels();

  /// Faces of at least `smallest` pixels, best first: the picture is scaled so that the detector's 80-pixel window fits them.
  std::vector<Detection> detect(const cv::Mat& gray, double threshold, double smallest = 80);
  /// The face near `expected` (overlap of at least 0.3), searched in a window of twice its size that is scaled so
  /// that the face is about 100 pixels wide.
  std::optional<Detection> detect_near(const cv::Mat& gray, const Box& expected, double threshold);
  std::array<Point, 68> landmarks(const cv::Mat& gray, const Box& box) const;

 private:
  std::vector<Detection> run(const cv::Mat& gray, double threshold);
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace microemo::media
