#include <algorithm>
#include <cmath>
#include <map>

#include <gtest/gtest.h>

#include "media.h"
#include "microemo/media/crops.h"
#include "microemo/media/face.h"
#include "support/errors.h"

namespace microemo::media {
namespace {

constexpr int patch = 150;  // pixels; the face in its middle is about 108 wide

/// Two people, each cut out around the face.
class TwoFaces : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto portrait = test::test_media("grace_hopper_512x512.jpg"), astronaut = test::test_media("astronaut.png");
    if (!portrait || !astronaut) GTEST_SKIP() << test::no_test_media("grace_hopper_512x512.jpg or astronaut.png");
    people = {crop_face(read_image(*portrait), {300.0 / patch, 0, 118, 70}, patch),
              crop_face(read_image(*astronaut), {120.0 / patch, 0, 162, 66}, patch)};
  }

  /// The second one behind the first.
  Image frame_with(Point first, Point second) const {
    Image frame{640, 360, 3, std::vector<uint8_t>(640 * 360 * 3, 96)};
    paste(frame, people[1], int(second.x), int(second.y));
    paste(frame, people[0], int(first.x), int(first.y));
    return frame;
  }

  static int person_at(const Face& face, Point first, Point second) {
    const double x = (face.box.left + face.box.right) / 2 - patch / 2.0;
    return std::abs(x - first.x) <= std::abs(x - second.x) ? 0 : 1;
  }

  std::vector<Image> people;
};

TEST_F(TwoFaces, CrossWithoutChangingTheirTracks) {
  FaceTracker tracker;
  const auto first = [](int i) { return Point{10.0 + 7 * i, 100}; };
  const auto second = [](int i) { return Point{480.0 - 7 * i, 110}; };
  for (int i = 0; i < 68; ++i) tracker.add(frame_with(first(i), second(i)));
  const auto faces = tracker.finish();
  std::map<int, int> person_of_track;
  int both = 0;
  for (int i = 0; i < 68; ++i) {
    const auto& here = faces[size_t(i)];
    both += here.size() == 2;
    EXPECT_LE(here.size(), 2u) << "frame " << i;
    const bool apart = std::abs(first(i).x - second(i).x) > patch / 2.0;
    for (const Face& face : here)
      if (apart) {
        const int person = person_at(face, first(i), second(i));
        EXPECT_EQ(person_of_track.try_emplace(face.track, person).first->second, person)
            << "track " << face.track << ", frame " << i;
      }
  }
  EXPECT_EQ(person_of_track.size(), 2u) << "each keeps the number of its track";
  EXPECT_GE(both, 48) << "only where one is hidden is there one face";
}

TEST_F(TwoFaces, AreNeverTwoTracksOfOneFace) {
  FaceTracker tracker;
  // The second stops behind the first and stays there.
  for (int i = 0; i < 60; ++i) tracker.add(frame_with({250, 100}, {std::min(480.0, std::max(252.0, 480.0 - 8 * i)), 104}));
  const auto faces = tracker.finish();
  for (size_t i = 34; i < faces.size(); ++i) EXPECT_EQ(faces[i].size(), 1u) << "frame " << i;
}

TEST_F(TwoFaces, ChangePlacesInACutAndBecomeOtherTracks) {
  FaceTracker tracker;
  for (int i = 0; i < 24; ++i) tracker.add(i < 12 ? frame_with({60, 100}, {400, 100}) : frame_with({400, 100}, {60, 100}));
  const auto faces = tracker.finish();
  ASSERT_EQ(faces[11].size(), 2u);
  ASSERT_EQ(faces[14].size(), 2u);
  for (const Face& before : faces[11])
    for (const Face& after : faces[14]) EXPECT_NE(before.track, after.track);
}

Face seen(int track, double score) {
  Face face;
  face.track = track;
  face.score = score;
  return face;
}

TEST(TrackSummaries, TellFramesCoverageConfidenceAndRepeats) {
  const auto tracks = summarise_tracks({{seen(3, 1)}, {}, {seen(3, 2), seen(1, 0.5)}, {seen(3, 3)}, {}},
                                       {Repeat::none, Repeat::frame, Repeat::field, Repeat::frame, Repeat::none});
  ASSERT_EQ(tracks.size(), 2u);
  EXPECT_EQ(tracks[0].track, 1);
  EXPECT_EQ(tracks[0].coverage, 1);
  EXPECT_EQ(tracks[1].track, 3);
  EXPECT_EQ(tracks[1].first, 0);
  EXPECT_EQ(tracks[1].last, 3);
  EXPECT_EQ(tracks[1].frames, 3);
  EXPECT_EQ(tracks[1].repeated, 2);
  EXPECT_DOUBLE_EQ(tracks[1].coverage, 0.75);
  EXPECT_DOUBLE_EQ(tracks[1].mean_score, 2);
}

TEST(TrackSummaries, OfAClipWithoutFacesAreNone) { EXPECT_TRUE(summarise_tracks({{}, {}}).empty()); }

TEST(TrackSummaries, NeedARepeatOfEveryFrame) {
  test::expect_error(
      ErrorKind::internal,
      [] {
        summarise_tracks({{}, {}}, {Repeat::none});
      },
      "1 repeats of 2 frames");
}

}  // namespace
}  // namespace microemo::media
