#include "microemo/media/speaking.h"

#include <cmath>
#include <numbers>

#include <gtest/gtest.h>

#include "support/errors.h"

namespace microemo::media {
namespace {

constexpr double rate = 25;

/// A made-up face of eye distance 1 whose inner lips are `opening` apart.
Face face_of(int track, double opening) {
  Face face;
  face.track = track;
  face.score = 1;
  face.box = {0, 0, track == 0 ? 20.0 : 10.0, 20};  // the first is the larger: it is watched
  face.landmarks[45] = {1, 0};
  for (const size_t upper : {61, 62, 63}) face.landmarks[upper] = {double(upper), 2};
  for (const size_t lower : {65, 66, 67}) face.landmarks[lower] = {128.0 - double(lower), 2 + opening};
  return face;
}

/// Syllables: loud and quiet three times a second, with a pause.
double loudness(double t, double phase) {
  if (t > 1.2 && t < 1.7) return 0;
  return std::pow(std::sin(2 * std::numbers::pi * 1.5 * t + phase), 2);
}

class TwoMouths : public ::testing::Test {
 protected:
  TwoMouths() {
    sound.samples.resize(size_t(3 * sound.rate));
    for (size_t i = 0; i < sound.samples.size(); ++i) {
      const double t = double(i) / sound.rate;
      sound.samples[i] = float(0.3 * loudness(t, 0) * std::sin(2 * std::numbers::pi * 200 * t));
    }
    for (int i = 0; i < 75; ++i) seconds.push_back(i / rate);
  }
  /// The lips of `speaker` vibrate as fast as the sound is loud; those of the other move without it.
  void add_faces(int speaker) {
    for (int i = 0; i < 75; ++i) {
      const double t = i / rate, with = 0.1 + 0.05 * loudness(t, 0) * std::sin(9.0 * i);
      const double without = 0.1 + 0.03 * std::sin(2 * std::numbers::pi * 0.7 * t);
      faces.push_back({face_of(0, speaker == 0 ? with : without), face_of(1, speaker == 1 ? with : without)});
    }
  }
  Sound sound;
  std::vector<double> seconds;
  std::vector<std::vector<Face>> faces;
};

TEST_F(TwoMouths, TheOneThatGoesWithTheSoundSpeaks) {
  for (const int speaker : {0, 1}) {
    faces.clear();
    add_faces(speaker);
    EXPECT_EQ(speaking_track(faces, seconds, sound, {0, 3}), speaker);
  }
}

TEST_F(TwoMouths, AreMeasuredAsTheFormulaSays) {
  add_faces(1);
  const auto evidence = speaking_evidence(faces, seconds, sound, {0, 3});
  ASSERT_EQ(evidence.size(), 2u);
  EXPECT_EQ(evidence[0].track, 1);
  EXPECT_EQ(evidence[0].frames, 73);
  EXPECT_GT(evidence[0].correlation, 0.5);
  EXPECT_NEAR(evidence[0].evidence, std::atanh(evidence[0].correlation) * std::sqrt(73 / 5.0 - 3), 1e-9);
}

TEST_F(TwoMouths, TheSpeakerIsWatchedInItsUtteranceAlone) {
  add_faces(1);
  const auto chosen = speaking_faces(faces, seconds, sound, {{0, 2}});
  for (size_t i = 0; i < chosen.size(); ++i) {
    ASSERT_TRUE(chosen[i]);
    EXPECT_EQ(chosen[i]->track, i < 50 ? 1 : 0) << "frame " << i;
  }
}

TEST_F(TwoMouths, NoFaceIsChosenWhereTheSpeakerIsNotSeen) {
  add_faces(1);
  faces[30].pop_back();
  const auto chosen = speaking_faces(faces, seconds, sound, {{0, 3}});
  EXPECT_FALSE(chosen[30]);
  EXPECT_EQ(chosen[31]->track, 1);
}

TEST_F(TwoMouths, WithoutSoundTheWatchedFaceStays) {
  add_faces(1);
  sound.samples.clear();
  EXPECT_EQ(speaking_track(faces, seconds, sound, {0, 3}), std::nullopt);
  EXPECT_EQ(speaking_faces(faces, seconds, sound, {{0, 3}})[10]->track, 0);
}

TEST_F(TwoMouths, InAShortUtteranceTheWatchedFaceStays) {
  add_faces(1);
  EXPECT_EQ(speaking_track(faces, seconds, sound, {1, 1.2}), std::nullopt);
}

TEST_F(TwoMouths, ThatMoveAlikeDecideNothing) {
  add_faces(1);
  for (auto& frame : faces) frame[0].landmarks = frame[1].landmarks;
  EXPECT_EQ(speaking_track(faces, seconds, sound, {0, 3}), std::nullopt);
}

TEST_F(TwoMouths, ThatAreStillDecideNothing) {
  add_faces(1);
  for (auto& frame : faces) frame = {face_of(0, 0.1), face_of(1, 0.1)};
  EXPECT_EQ(speaking_track(faces, seconds, sound, {0, 3}), std::nullopt);
}

TEST_F(TwoMouths, OfWhichOneIsSeenForAMomentDecideNothing) {
  add_faces(1);
  for (size_t i = 30; i < faces.size(); ++i) faces[i].pop_back();
  EXPECT_EQ(speaking_track(faces, seconds, sound, {0, 3}), std::nullopt);
}

TEST_F(TwoMouths, OutsideTheClipDecideNothing) {
  add_faces(1);
  EXPECT_EQ(speaking_track(faces, seconds, sound, {5, 7}), std::nullopt);
  EXPECT_EQ(speaking_track({}, {}, sound, {0, 3}), std::nullopt);
}

TEST_F(TwoMouths, NeedATimeOfEveryFrame) {
  add_faces(1);
  seconds.pop_back();
  test::expect_error(
      ErrorKind::internal, [&] { speaking_faces(faces, seconds, sound, {}); }, "75 frames with 74 times");
}

}  // namespace
}  // namespace microemo::media
