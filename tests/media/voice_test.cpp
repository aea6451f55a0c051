#include "microemo/media/voice.h"

#include <cmath>
#include <random>

#include <gtest/gtest.h>

#include "media.h"
#include "support/errors.h"

namespace microemo::media {
namespace {

using test::expect_error;

/// Noise of a level with louder bursts in it, [start, end) in seconds.
Sound with_bursts(double seconds, double noise, const std::vector<std::pair<double, double>>& bursts, int rate = 16000) {
  Sound sound;
  sound.rate = rate;
  std::minstd_rand random(1);
  for (int64_t i = 0; i < std::llround(seconds * rate); ++i) {
    const double time_s = double(i) / rate, white = double(random()) / double(std::minstd_rand::max()) * 2 - 1;
    double sample = noise * white;
    for (const auto& [start_s, end_s] : bursts)
      if (time_s >= start_s && time_s < end_s) sample += 0.3 * std::sin(1500 * time_s) * (1 + 0.5 * std::sin(25 * time_s));
    sound.samples.push_back(float(sample));
  }
  return sound;
}

constexpr VoiceOptions bare{.pad_s = 0};

void expect_stretches(const std::vector<VoicedStretch>& found, const std::vector<std::pair<double, double>>& wanted,
                      double tolerance_s) {
  ASSERT_EQ(found.size(), wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_NEAR(found[i].start_s, wanted[i].first, tolerance_s) << i;
    EXPECT_NEAR(found[i].end_s, wanted[i].second, tolerance_s) << i;
  }
}

TEST(VoicedStretches, AreFoundInNoise) {
  const std::vector<std::pair<double, double>> bursts = {{0.5, 1.5}, {2, 2.6}, {4, 6}};
  for (const double noise : {0.0, 0.001, 0.03})
    for (const int rate : {8000, 16000, 44100})
      expect_stretches(voiced_stretches(with_bursts(8, noise, bursts, rate), bare), bursts, 0.05);
}

TEST(VoicedStretches, CountOnTheClipsClock) {
  Sound sound = with_bursts(3, 0.01, {{1, 2}});
  sound.start_s = 10;
  expect_stretches(voiced_stretches(sound, bare), {{11, 12}}, 0.05);
}

TEST(VoicedStretches, HoldShortPausesAndLeaveShortBurstsOut) {
  const auto found = voiced_stretches(with_bursts(6, 0.01, {{1, 1.5}, {1.7, 2.2}, {3.5, 3.6}, {4.5, 5}}), bare);
  expect_stretches(found, {{1, 2.2}, {4.5, 5}}, 0.05);
}

TEST(VoicedStretches, ArePaddedToTheMiddleOfAPauseAndTheEnds) {
  const auto found = voiced_stretches(with_bursts(3, 0.01, {{0.05, 1}, {1.4, 2.9}}), {.pad_s = 0.5});
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].start_s, 0);
  EXPECT_EQ(found[0].end_s, found[1].start_s);
  EXPECT_EQ(found[1].end_s, 3);
}

TEST(VoicedStretches, OfSilenceAreNone) {
  Sound silence;
  silence.samples.resize(32000);
  EXPECT_TRUE(voiced_stretches(silence).empty());
  EXPECT_TRUE(voiced_stretches(with_bursts(2, 1e-5, {})).empty());
  EXPECT_TRUE(voiced_stretches(Sound()).empty());
  for (float& sample : silence.samples) sample = 0.5F;  // a constant is no sound
  EXPECT_TRUE(voiced_stretches(silence).empty());
}

TEST(VoicedStretches, OfASteadySoundAreTheWhole) {
  const auto found = voiced_stretches(with_bursts(2, 0.2, {}));
  expect_stretches(found, {{0, 2}}, 1e-9);
}

TEST(VoicedStretches, OfOneSampleDoNotFail) {
  Sound sound;
  sound.samples = {0.5F};
  EXPECT_TRUE(voiced_stretches(sound).empty());
}

TEST(VoicedStretches, OfMegamindLeaveItsPauseOut) {
  const auto path = test::test_media("Megamind.avi");
  if (!path) GTEST_SKIP() << test::no_test_media("Megamind.avi");
  const Sound sound = read_sound(*path);
  const auto found = voiced_stretches(sound);
  ASSERT_GE(found.size(), 2u);
  double voiced_s = 0, before_s = sound.start_s;
  for (const VoicedStretch& stretch : found) {
    EXPECT_GE(stretch.start_s, before_s);
    EXPECT_GT(stretch.end_s, stretch.start_s);
    before_s = stretch.end_s;
    voiced_s += stretch.end_s - stretch.start_s;
    const bool in_pause = stretch.start_s < 9.3 && stretch.end_s > 8.3;
    EXPECT_FALSE(in_pause) << stretch.start_s << " to " << stretch.end_s;
  }
  EXPECT_LE(before_s, sound.end_s());
  EXPECT_GT(voiced_s, 5);
}

TEST(VoicedStretches, RefuseOptionsThatAreNone) {
  for (const VoiceOptions& options : {VoiceOptions{.shortest_voice_s = -1},
                                      {.shortest_silence_s = NAN},
                                      {.pad_s = INFINITY},
                                      {.least_range_db = -6},
                                      {.silence_db = 1},
                                      {.silence_db = NAN}})
    EXPECT_THROW(voiced_stretches(Sound(), options), Error);
  expect_error(
      ErrorKind::config, [] { voiced_stretches(Sound(), {.pad_s = -1}); }, "voice detection");
}

}  // namespace
}  // namespace microemo::media
