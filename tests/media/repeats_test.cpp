#include "microemo/media/repeats.h"

#include <gtest/gtest.h>

#include "clips.h"
#include "microemo/media/video_reader.h"
#include "support/errors.h"

namespace microemo::media {
namespace {

std::vector<Repeat> repeats_of(const std::filesystem::path& video) {
  RepeatFinder finder;
  VideoReader reader(video);
  while (auto frame = reader.next()) finder.add(frame->rgb);
  return finder.finish();
}

/// A film of 24 frames a second in which everything moves, after `filter`.
std::filesystem::path film(const test::Clips& clips, const std::string& filter, const std::string& quality) {
  const auto path = clips.path("film.mp4");
  test::ffmpeg({"-f", "lavfi", "-i", "mandelbrot=size=320x240:rate=24:start_scale=1:end_scale=0.05:end_pts=48", "-t", "2", "-vf",
                filter, "-c:v", "libx264", "-crf", quality, "-pix_fmt", "yuv420p", path.string()});
  return path;
}

int64_t count(const std::vector<Repeat>& repeats, Repeat kind) { return std::count(repeats.begin(), repeats.end(), kind); }

TEST(Repeats, OfAMovingPictureAreNone) {
  const test::Clips clips;
  const auto repeats = repeats_of(film(clips, "null", "23"));
  EXPECT_EQ(repeats.size(), 48u);
  EXPECT_EQ(count(repeats, Repeat::none), 48);
}

TEST(Repeats, AreEveryFifthFrameWhereTwentyFourFramesBecameThirty) {
  const test::Clips clips;
  const auto repeats = repeats_of(film(clips, "fps=30", "23"));
  ASSERT_GE(repeats.size(), 58u);
  // The frame of the film that is shown at i / 30 s is the one at floor(24 i / 30) with the filter's rounding: four new pictures
  // of five.
  EXPECT_NEAR(double(count(repeats, Repeat::frame)), double(repeats.size()) / 5, 1);
  EXPECT_EQ(count(repeats, Repeat::field), 0);
  for (size_t i = 1; i < repeats.size(); ++i) EXPECT_FALSE(repeats[i] != Repeat::none && repeats[i - 1] != Repeat::none) << i;
}

TEST(Repeats, AreThreeOfFiveFramesWhereTwentyFourBecameSixty) {
  const test::Clips clips;
  const auto repeats = repeats_of(film(clips, "fps=60", "23"));
  EXPECT_NEAR(double(count(repeats, Repeat::frame)), 0.6 * double(repeats.size()), 3);
}

TEST(Repeats, OfTelecinedFieldsAreTwoOfFiveFrames) {
  const test::Clips clips;
  // Pattern 23: of five frames two hold fields of two pictures.
  const auto repeats = repeats_of(film(clips, "telecine=pattern=23", "5"));
  ASSERT_GE(repeats.size(), 55u);
  EXPECT_NEAR(double(count(repeats, Repeat::field)), 0.4 * double(repeats.size()), 2);
  EXPECT_EQ(count(repeats, Repeat::frame), 0);
}

TEST(Repeats, DoNotHideASmallMovementInAStillPicture) {
  Image still{320, 240, 1, std::vector<uint8_t>(320 * 240, 90)}, moved = still;
  for (int y = 100; y < 108; ++y)
    for (int x = 100; x < 108; ++x) moved.row(y)[x] = 96;
  RepeatFinder finder;
  for (const Image& frame : {still, still, moved, moved, still}) finder.add(frame);
  EXPECT_EQ(finder.finish(), (std::vector<Repeat>{Repeat::none, Repeat::frame, Repeat::none, Repeat::frame, Repeat::none}));
}

TEST(Repeats, OfNoFrameAreNone) {
  RepeatFinder finder;
  EXPECT_TRUE(finder.finish().empty());
  finder.add({16, 16, 1, std::vector<uint8_t>(256)});
  EXPECT_EQ(finder.finish(), std::vector<Repeat>{Repeat::none});
  EXPECT_TRUE(finder.finish().empty());
}

TEST(Repeats, InFramesOfTwoSizesAreAMistake) {
  RepeatFinder finder;
  finder.add({16, 16, 1, std::vector<uint8_t>(256)});
  test::expect_error(
      ErrorKind::internal,
      [&] {
        finder.add({32, 16, 1, std::vector<uint8_t>(512)});
      },
      "32 x 16");
}

}  // namespace
}  // namespace microemo::media
