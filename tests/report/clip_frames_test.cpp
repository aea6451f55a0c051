#include "microemo/report/clip_frames.h"

#include <cstdlib>

#include "microemo/base/files.h"
#include "microemo/media/video_writer.h"
#include "support/errors.h"

namespace microemo::report {
namespace {

namespace fs = std::filesystem;

struct SampleFrames : ::testing::Test {
  TemporaryFolder folder;
  fs::path video = folder.path() / "clip.mp4";

  void write(const std::vector<media::Image>& frames) const {
    media::VideoWriter writer(video, {.width = frames[0].width, .height = frames[0].height, .rate = 10, .sound = false});
    for (const media::Image& frame : frames) writer.add(frame);
    writer.finish();
  }
  void write_grey(int frames) const {
    std::vector<media::Image> pictures;
    for (int i = 0; i < frames; ++i) pictures.push_back({128, 96, 3, std::vector<uint8_t>(128 * 96 * 3, uint8_t(20 * i))});
    write(pictures);
  }
};

TEST_F(SampleFrames, TakesTheFrameThatIsShownInTheMiddleOfEachPart) {
  write_grey(10);
  const auto frames = sample_frames(video, 1.0, 2);
  ASSERT_EQ(frames.size(), 2u);
  EXPECT_NEAR(frames[0].seconds, 0.2, 1e-6);
  EXPECT_NEAR(frames[1].seconds, 0.7, 1e-6);
  EXPECT_NEAR(frames[1].frame.pixels[0], 140, 6);
}

TEST_F(SampleFrames, GivesNoFrameTwice) {
  write_grey(3);
  EXPECT_EQ(sample_frames(video, 0.3, 8).size(), 3u);
}

TEST_F(SampleFrames, LeavesTheFaceEmptyWhereThereIsNone) {
  write_grey(2);
  EXPECT_EQ(sample_frames(video, 0.2, 1)[0].face.width, 0);
}

TEST_F(SampleFrames, CutsASquareRoundTheFace) {
  const fs::path cache = std::getenv("XDG_CACHE_HOME") ? std::getenv("XDG_CACHE_HOME") : fs::path(std::getenv("HOME")) / ".cache";
  const fs::path photograph = cache / "microemo/media/grace_hopper_512x512.jpg";
  if (!fs::exists(photograph)) GTEST_SKIP() << photograph << " is not there; tools/setup brings it";
  write({media::read_image(photograph)});
  const media::Image face = sample_frames(video, 0.1, 1)[0].face;
  EXPECT_EQ(face.width, face.height);
  EXPECT_GT(face.width, 200);
  EXPECT_LT(face.width, 450);
}

TEST_F(SampleFrames, RefusesAMissingFile) {
  test::expect_error(
      ErrorKind::data, [&] { sample_frames(video, 1.0, 2); }, "clip.mp4");
}

TEST_F(SampleFrames, RefusesAClipWithoutDuration) {
  write_grey(2);
  test::expect_error(
      ErrorKind::internal, [&] { sample_frames(video, 0.0, 2); }, "2 frames of 0 s");
}

}  // namespace
}  // namespace microemo::report
