#pragma once
#include <filesystem>
#include <memory>
#include <vector>

#include "face_models.h"

namespace microemo::media {

/// dlib's convolutional face detector (max-margin object detection; King 2015), from a file of the user. Slow on a processor:
/// about a second for 640 x 480. One per thread.
class CnnDetector {
 public:
  /// Throws Error(data) when the file is missing, no model of dlib's, or one of another kind.
  explicit CnnDetector(const std::filesystem::path& file);
  ~CnnDetector();

  /// Best first. Its boxes are not those of the frontal detector, which the 68-point model is made for.
  std::vector<Detection> detect(const cv::Mat& gray, double threshold);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Throws Error(data) for a model file that is not there.
void check_model_file(const std::filesystem::path& file, const char* what);

}  // namespace microemo::media
