#include <gtest/gtest.h>

#include "clips.h"
#include "microemo/media/face.h"
#include "support/errors.h"

namespace microemo::media {
namespace {

class FaceModelFile : public ::testing::Test {
 protected:
  static void refuse(const FaceModelFiles& models, const std::string& message) {
    const Error error = test::expect_error(
        ErrorKind::data, [&] { FaceTracker tracker({.models = models}); }, message);
    EXPECT_FALSE(error.next_step().empty());
  }
  test::Clips clips;
};

TEST_F(FaceModelFile, ThatIsMissingIsNamed) {
  refuse({.cnn_detector = clips.path("detector.dat")}, "no detector at this path");
  refuse({.five_points = clips.path("points.dat")}, "no landmark model at this path");
}

TEST_F(FaceModelFile, ThatIsAFolderIsRefused) {
  refuse({.cnn_detector = clips.path("")}, "no detector at this path");
  refuse({.five_points = clips.path("")}, "no landmark model at this path");
}

TEST_F(FaceModelFile, ThatIsNoModelIsRefused) {
  for (const std::string content : {"", "text", "\x01\x01", "\x08\xff\xff\xff\xff\xff\xff\xff\xff"}) {
    refuse({.cnn_detector = clips.write("model.dat", content)}, "not dlib's convolutional face detector");
    refuse({.five_points = clips.write("model.dat", content)}, "not a landmark model");
  }
}

TEST_F(FaceModelFile, OfAnotherKindIsRefused) {
  const auto landmarks = default_landmark_model();
  refuse({.cnn_detector = landmarks}, "not dlib's convolutional face detector");
  refuse({.five_points = landmarks}, "68 points instead of 5");
}

}  // namespace
}  // namespace microemo::media
