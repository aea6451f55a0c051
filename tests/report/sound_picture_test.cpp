#include "microemo/report/sound_picture.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "support/errors.h"

namespace microemo::report {
namespace {

media::Sound tone(double hz, double seconds) {
  media::Sound sound;
  for (int i = 0; i < int(seconds * sound.rate); ++i)
    sound.samples.push_back(float(0.3 * std::sin(2 * std::numbers::pi * hz * i / sound.rate)));
  return sound;
}

media::Image picture_of(const media::Sound& sound) { return draw_log_mel(media::log_mel(sound, 64), sound.rate, "tone.wav"); }

/// The brightest row inside the plot, from the axis' left end.
int loudest_row(const media::Image& image) {
  int row = 0;
  for (int y = 61; y < 61 + 190; ++y)
    if (image.row(y)[3 * 400] > image.row(row)[3 * 400] || row == 0) row = y;
  return row;
}

TEST(SoundPicture, ShowsAHighToneAboveALowOne) {
  EXPECT_LT(loudest_row(picture_of(tone(4000, 1))) + 50, loudest_row(picture_of(tone(300, 1))));
}

TEST(SoundPicture, HasItsTicksWhereTheTonesAre) {
  const media::Image image = picture_of(tone(1000, 1));
  const int row = loudest_row(image);
  bool tick = false;
  for (int y = row - 3; y <= row + 3; ++y) tick = tick || image.row(y)[3 * 95] < 200;
  EXPECT_TRUE(tick);
}

TEST(SoundPicture, OfALongSoundIsNoWiderThanAPage) {
  media::LogMel mel{8, {}, {}};
  for (int i = 0; i < 100'000; ++i) mel.seconds.push_back(0.01 * i);
  mel.values.resize(mel.seconds.size() * 8);
  EXPECT_EQ(draw_log_mel(mel, 16000, "hours.wav").width, 1600);
}

TEST(SoundPicture, OfASingleFrameIsDrawn) { EXPECT_GT(picture_of(tone(500, 0.03)).width, 640); }

TEST(SoundPicture, RefusesASoundWithoutAFrame) {
  const Error error = test::expect_error(
      ErrorKind::data, [] { picture_of(tone(500, 0.01)); }, "tone.wav");
  EXPECT_FALSE(error.next_step().empty());
}

}  // namespace
}  // namespace microemo::report
