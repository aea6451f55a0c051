#include "microemo/media/sound.h"

#include <cmath>
#include <cstring>
#include <numbers>

#include <gtest/gtest.h>

#include "clips.h"
#include "microemo/base/json.h"
#include "support/errors.h"

namespace microemo::media {
namespace {

using test::Clips;
using test::decoded_by_ffmpeg;
using test::expect_error;
using test::ffmpeg;

double rms(const std::vector<float>& samples, size_t first, size_t last) {
  double sum = 0;
  for (size_t i = first; i < last; ++i) sum += double(samples[i]) * samples[i];
  return std::sqrt(sum / double(last - first));
}

TEST(Sounds, OfMegamindAreDecodedInFull) {
  const auto path = test::test_media("Megamind.avi");
  if (!path) GTEST_SKIP() << test::no_test_media("Megamind.avi");
  const Clips clips;
  const auto expected = decoded_by_ffmpeg(clips, *path, "pan=mono|c0=0.5*c0+0.5*c1,aresample=16000");
  const Sound sound = read_sound(*path);
  ASSERT_EQ(sound.samples.size(), expected.size());
  double worst = 0;
  for (size_t i = 0; i < expected.size(); ++i) worst = std::max(worst, std::abs(double(sound.samples[i]) - expected[i]));
  EXPECT_LT(worst, 1e-3);
  EXPECT_EQ(sound.bad_packets, 1);  // its last AC-3 packet is cut off
}

TEST(Sounds, KeepAToneThroughResampling) {
  const Clips clips;
  const auto path = clips.path("tone.wav");
  ffmpeg({"-f", "lavfi", "-i", "aevalsrc=0.5*sin(2*PI*1000*t):s=44100:d=1", path.string()});
  const Sound sound = read_sound(path);
  ASSERT_NEAR(double(sound.samples.size()), 16000, 2);
  for (size_t i = 1000; i < 15000; ++i)
    ASSERT_NEAR(sound.samples[i], 0.5 * std::sin(2 * std::numbers::pi * 1000 * double(i) / 16000), 2e-3) << i;
}

TEST(Sounds, AreTheMeanOfTheirChannels) {
  const Clips clips;
  const auto path = clips.path("stereo.wav");
  ffmpeg({"-f", "lavfi", "-i", "aevalsrc=0.8*sin(2*PI*300*t)|0.4*sin(2*PI*300*t):s=16000:d=1", path.string()});
  EXPECT_NEAR(rms(read_sound(path).samples, 0, 16000), 0.6 / std::sqrt(2), 1e-3);
}

TEST(Sounds, StartWhereTheStreamStarts) {
  const Clips clips;
  const auto path = clips.make("a.mp4");
  ffmpeg({"-i", path.string(), "-itsoffset", "0.5", "-i", path.string(), "-map", "0:v", "-map", "1:a", "-c", "copy",
          clips.path("late.mkv").string()});
  EXPECT_NEAR(read_sound(clips.path("late.mkv")).start_s, 0.5, 0.03);
}

TEST(Sounds, HaveSilenceInTheirHoles) {
  const Clips clips;
  const auto path = clips.path("hole.mkv");
  ffmpeg({"-f", "lavfi", "-i", "sine=frequency=440:sample_rate=16000:duration=3", "-af", "aselect='not(between(t,1,1.5))'",
          "-c:a", "pcm_s16le", path.string()});
  const Sound sound = read_sound(path);
  EXPECT_NEAR(sound.end_s(), 3, 0.01);
  EXPECT_GT(rms(sound.samples, 0, 15000), 0.05);
  EXPECT_EQ(rms(sound.samples, 18000, 23000), 0);
  EXPECT_GT(rms(sound.samples, 26000, 40000), 0.05);
}

TEST(Sounds, OfAVideoWithoutSoundAreRefused) {
  const Clips clips;
  const auto path = clips.make("silent.mp4", {"-an"});
  expect_error(
      ErrorKind::data, [&] { read_sound(path); }, "no sound stream");
}

TEST(Sounds, LongerThanTheLimitAreRefused) {
  const Clips clips;
  const auto path = clips.make("a.mp4");
  ReadLimits limits;
  limits.max_seconds = 1;
  expect_error(
      ErrorKind::data, [&] { read_sound(path, {.limits = limits}); }, "max_seconds = 1");
}

TEST(Sounds, OfACutFileAreRefused) {
  const Clips clips;
  const auto path = clips.cut(clips.make("a.mkv"), "cut.mkv", 0.5);
  expect_error(
      ErrorKind::data, [&] { read_sound(path); }, "truncated");
}

TEST(Sounds, OfAMissingFileAreRefused) {
  expect_error(
      ErrorKind::data, [] { read_sound("/nowhere/a.wav"); }, "no such file");
}

TEST(Sounds, SurviveAWavFile) {
  const Clips clips;
  Sound sound;
  for (int i = 0; i < 4000; ++i) sound.samples.push_back(float(std::sin(i * 0.05) * 0.9));
  write_wav(clips.path("a.wav"), sound);
  const Sound read = read_sound(clips.path("a.wav"));
  ASSERT_EQ(read.samples.size(), sound.samples.size());
  for (size_t i = 0; i < sound.samples.size(); ++i) ASSERT_NEAR(read.samples[i], sound.samples[i], 1.0 / 16000);
}

TEST(Sounds, LouderThanFullScaleAreClippedInAWavFile) {
  const Clips clips;
  write_wav(clips.path("a.wav"), {16000, 0, {3.0F, -3.0F, 0.0F}, 0});
  const Sound read = read_sound(clips.path("a.wav"));
  EXPECT_GT(read.samples[0], 0.99F);
  EXPECT_LT(read.samples[1], -0.99F);
}

/// The same numbers as in tests/reference/media_fbank.py.
Sound golden_signal() {
  Sound sound;
  uint64_t state = 1;
  for (int i = 0; i < 14000; ++i) {
    state = (1103515245 * state + 12345) % (1ULL << 31);
    const double noise = (double(state / 65536 % 32768) - 16384) / 32768, sawtooth = (i * 37 % 512 - 256) / 512.0;
    const double gain = i < 6000 ? 1.0 : i < 11000 ? 1.0 / 64 : 0.0;
    sound.samples.push_back(float((0.25 * noise + 0.5 * sawtooth + 0.125) * gain));
  }
  return sound;
}

TEST(LogMels, EqualTorchaudioOnGoldenValues) {
  const auto path = std::filesystem::path(MICROEMO_SOURCE_DIR) / "tests/data/media/fbank.json";
  int64_t compared = 0;
  // 9e-4 is 1e-4 once ImageBind's scale has been applied.
  for (const Json& expected : read_json(path)) {
    const LogMel features = log_mel(golden_signal(), expected["bands"]);
    ASSERT_EQ(features.frames(), expected["frames"].get<int64_t>());
    for (const auto& [frame, values] : expected["chosen"].items())
      for (size_t band = 0; band < values.size(); ++band, ++compared)
        ASSERT_NEAR(features.values[std::stoul(frame) * values.size() + band], values[band].get<double>(), 9e-4)
            << "frame " << frame << " band " << band << " of " << features.bands;
  }
  EXPECT_EQ(compared, 8 * (64 + 128));
}

TEST(LogMels, HaveTheTimesOfTheirMiddles) {
  Sound sound;
  sound.start_s = 0.5;
  sound.samples.resize(16000);
  const LogMel features = log_mel(sound, 8);
  ASSERT_EQ(features.frames(), 98);
  EXPECT_NEAR(features.seconds[0], 0.5125, 1e-9);
  EXPECT_NEAR(features.seconds[97], 0.5125 + 0.97, 1e-9);
}

TEST(LogMels, OfSilenceAreTheFloor) {
  Sound sound;
  sound.samples.resize(800);
  for (const float value : log_mel(sound, 16).values) EXPECT_NEAR(value, std::log(1.1920929e-07), 1e-4);
}

TEST(LogMels, OfLessThanOneWindowHaveNoFrame) {
  Sound sound;
  sound.samples.resize(399);
  EXPECT_EQ(log_mel(sound, 16).frames(), 0);
  EXPECT_EQ(log_mel(Sound(), 16).frames(), 0);
}

TEST(LogMels, WithoutBandsAreAMistake) {
  expect_error(
      ErrorKind::internal, [] { log_mel(Sound(), 0); }, "0 mel bands");
}

}  // namespace
}  // namespace microemo::media
