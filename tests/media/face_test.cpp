#include "microemo/media/face.h"

#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include "media.h"
#include "support/errors.h"

namespace microemo::media {
namespace {

using test::no_test_media;
using test::test_media;

Image gray_picture(int width, int height, uint8_t level) {
  return {width, height, 3, std::vector<uint8_t>(size_t(width) * height * 3, level)};
}

/// The photograph on a larger grey picture, its corner at (left, top): a face that is moved by pasting.
Image with_photograph(const Image& photograph, int left, int top) {
  Image frame = gray_picture(480, 360, 96);
  paste(frame, photograph, left, top);
  return frame;
}

class FacesOfAPhotograph : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto path = test_media("grace_hopper_512x512.jpg");
    if (!path) GTEST_SKIP() << no_test_media("grace_hopper_512x512.jpg");
    photograph = resize(read_image(*path), 256, 256);
  }

  std::vector<std::vector<Face>> tracked(const std::vector<Image>& frames, const FaceTrackOptions& options = {}) {
    FaceTracker tracker(options);
    for (const Image& frame : frames) tracker.add(frame);
    return tracker.finish();
  }

  Image photograph;
};

TEST(Faces, PortraitHasOne) {
  const auto path = test_media("grace_hopper_512x512.jpg");
  if (!path) GTEST_SKIP() << no_test_media("grace_hopper_512x512.jpg");
  const auto faces = detect_faces(read_image(*path));
  ASSERT_EQ(faces.size(), 1);
  EXPECT_GT(faces[0].score, 1);
  const Point nose = faces[0].landmarks[30];
  EXPECT_TRUE(nose.x > faces[0].box.left && nose.x < faces[0].box.right && nose.y > faces[0].box.top &&
              nose.y < faces[0].box.bottom);
  EXPECT_LT(faces[0].landmarks[36].x, faces[0].landmarks[45].x);
}

TEST(Faces, IcebergHasNone) {
  const auto path = test_media("640px-IceBlockNearJoekullsarlon.jpg");
  if (!path) GTEST_SKIP() << no_test_media("640px-IceBlockNearJoekullsarlon.jpg");
  EXPECT_TRUE(detect_faces(read_image(*path)).empty());
}

TEST(Faces, GroupHasManyWithTheBestFirst) {
  const auto path = test_media("Solvay_conference_1927_Version2_2126x1463.png");
  if (!path) GTEST_SKIP() << no_test_media("Solvay_conference_1927_Version2_2126x1463.png");
  const auto faces = detect_faces(read_image(*path));
  EXPECT_GE(faces.size(), 26);
  for (size_t i = 1; i < faces.size(); ++i) EXPECT_LE(faces[i].score, faces[i - 1].score);
}

TEST_F(FacesOfAPhotograph, SmallFaceIsFoundInTheEnlargedPicture) {
  const auto faces = detect_faces(resize(photograph, 128, 128));
  ASSERT_EQ(faces.size(), 1);
  EXPECT_LT(faces[0].box.width(), 80);
}

TEST_F(FacesOfAPhotograph, ThresholdAboveTheScoreFindsNone) { EXPECT_TRUE(detect_faces(photograph, 50).empty()); }

TEST_F(FacesOfAPhotograph, MovingFaceIsOneTrackInEveryFrame) {
  std::vector<Image> frames;
  for (int i = 0; i < 40; ++i) frames.push_back(with_photograph(photograph, 60 + 3 * i, 40 + i));
  const auto faces = tracked(frames);
  ASSERT_EQ(faces.size(), 40);
  for (size_t i = 0; i < faces.size(); ++i) {
    ASSERT_EQ(faces[i].size(), 1) << "frame " << i;
    EXPECT_EQ(faces[i][0].track, faces[0][0].track);
    EXPECT_NEAR(faces[i][0].landmarks[30].x - faces[0][0].landmarks[30].x, 3.0 * double(i), 4);
    EXPECT_NEAR(faces[i][0].landmarks[30].y - faces[0][0].landmarks[30].y, double(i), 4);
  }
}

TEST_F(FacesOfAPhotograph, FaceThatIsGoneIsNotReported) {
  std::vector<Image> frames(12, with_photograph(photograph, 60, 40));
  frames.resize(30, gray_picture(480, 360, 96));
  const auto faces = tracked(frames);
  for (size_t i = 0; i < faces.size(); ++i) EXPECT_EQ(faces[i].size(), i < 12 ? 1 : 0) << "frame " << i;
}

TEST_F(FacesOfAPhotograph, CutToAnotherPlaceStartsAnotherTrack) {
  std::vector<Image> frames(12, with_photograph(photograph, -20, 40));
  frames.resize(24, with_photograph(photograph, 240, 60));
  const auto faces = tracked(frames);
  ASSERT_EQ(faces[11].size(), 1);
  ASSERT_EQ(faces[12].size(), 1);
  EXPECT_NE(faces[11][0].track, faces[12][0].track);
}

TEST_F(FacesOfAPhotograph, CutToAnotherFaceAtTheSamePlaceStartsAnotherTrack) {
  const auto other = test_media("astronaut.png");
  if (!other) GTEST_SKIP() << no_test_media("astronaut.png");
  // Both faces about 110 pixels wide and at (188, 170).
  std::vector<Image> frames(12, with_photograph(photograph, 54, 49));
  frames.resize(24, with_photograph(resize(read_image(*other), 640, 640), 188 - 278, 170 - 158));
  const auto faces = tracked(frames);
  ASSERT_EQ(faces[11].size(), 1);
  ASSERT_EQ(faces[14].size(), 1);
  EXPECT_GT(std::min(faces[11][0].box.right, faces[14][0].box.right) - std::max(faces[11][0].box.left, faces[14][0].box.left),
            60);
  EXPECT_NE(faces[11][0].track, faces[14][0].track);
}

TEST_F(FacesOfAPhotograph, FaceThatComesBackSoonKeepsItsTrack) {
  std::vector<Image> frames(10, with_photograph(photograph, 60, 40));
  frames.resize(15, gray_picture(480, 360, 96));
  frames.resize(25, with_photograph(photograph, 62, 41));
  const auto faces = tracked(frames);
  ASSERT_EQ(faces[24].size(), 1);
  EXPECT_EQ(faces[24][0].track, faces[0][0].track);
  EXPECT_TRUE(faces[12].empty());
}

TEST_F(FacesOfAPhotograph, FaceThatAppearsBetweenTwoSearchesIsThereFromItsFirstFrame) {
  // Nobody is followed, so searches are made in frames 0, 3 and 6.
  std::vector<Image> frames(4, gray_picture(480, 360, 96));
  for (int i = 0; i < 12; ++i) frames.push_back(with_photograph(photograph, 60 + 2 * i, 40));
  const auto faces = tracked(frames);
  for (size_t i = 0; i < faces.size(); ++i) ASSERT_EQ(faces[i].size(), i < 4 ? 0 : 1) << "frame " << i;
  for (size_t i = 5; i < faces.size(); ++i) {
    EXPECT_EQ(faces[i][0].track, faces[4][0].track);
    EXPECT_NEAR(faces[i][0].landmarks[30].x - faces[4][0].landmarks[30].x, 2.0 * double(i - 4), 4);
  }
}

TEST_F(FacesOfAPhotograph, FaceIsNotLookedForWhereLookingBackIsSwitchedOff) {
  std::vector<Image> frames(4, gray_picture(480, 360, 96));
  frames.resize(16, with_photograph(photograph, 60, 40));
  FaceTrackOptions options;
  options.look_back = 0;
  const auto faces = tracked(frames, options);
  for (size_t i = 0; i < faces.size(); ++i) EXPECT_EQ(faces[i].size(), i < 6 ? 0 : 1) << "frame " << i;
}

TEST_F(FacesOfAPhotograph, SecondFaceIsFollowedBackNoFurtherThanAsked) {
  std::vector<Image> frames(10, with_photograph(resize(photograph, 200, 200), 10, 40));
  Image both = frames[0];
  paste(both, resize(photograph, 220, 220), 240, 60);
  frames.resize(40, both);
  FaceTrackOptions options;
  options.look_back = 5;
  const auto faces = tracked(frames, options);  // the second search is that of frame 25
  for (size_t i = 0; i < faces.size(); ++i) EXPECT_EQ(faces[i].size(), i < 20 ? 1 : 2) << "frame " << i;
}

TEST_F(FacesOfAPhotograph, FaceShorterThanTheShortestTrackIsDropped) {
  std::vector<Image> frames(2, with_photograph(photograph, 60, 40));
  frames.resize(20, gray_picture(480, 360, 96));
  for (const auto& frame : tracked(frames)) EXPECT_TRUE(frame.empty());
}

TEST_F(FacesOfAPhotograph, TrackerStartsAnewAfterFinish) {
  const Image frame = with_photograph(photograph, 60, 40);
  FaceTracker tracker;
  std::vector<std::vector<Face>> first, second;
  for (auto* result : {&first, &second}) {
    for (int i = 0; i < 8; ++i) tracker.add(frame);
    *result = tracker.finish();
  }
  ASSERT_EQ(first.size(), 8);
  ASSERT_EQ(second.size(), 8);
  for (size_t i = 0; i < 8; ++i) {
    ASSERT_EQ(second[i].size(), 1);
    EXPECT_EQ(second[i][0].track, first[i][0].track);
    EXPECT_EQ(second[i][0].landmarks[8].x, first[i][0].landmarks[8].x);
  }
}

TEST_F(FacesOfAPhotograph, EmptyClipHasNoFrames) { EXPECT_TRUE(tracked({}).empty()); }

Face face_of(int track, double side, double score) {
  Face face;
  face.track = track;
  face.box = {0, 0, side, side};
  face.score = score;
  return face;
}

TEST(MainFace, IsTheTrackWithTheLargestSumOfAreaTimesScore) {
  const auto chosen =
      main_face({{face_of(0, 10, 3), face_of(1, 20, 1)}, {face_of(0, 10, 3)}, {face_of(1, 20, 1), face_of(0, 10, 3)}});
  ASSERT_EQ(chosen.size(), 3);
  EXPECT_EQ(chosen[0]->track, 0);  // 3 * 300 against 2 * 400
  EXPECT_EQ(chosen[2]->track, 0);
}

TEST(WatchedFaces, TurnToAnotherTrackBeforeAndAfterTheHeaviest) {
  const auto watched = watched_faces({{face_of(1, 10, 1)},
                                      {face_of(0, 20, 1), face_of(1, 10, 1)},
                                      {face_of(1, 10, 1)},
                                      {face_of(0, 20, 1)},
                                      {face_of(1, 10, 1)},
                                      {}});
  ASSERT_EQ(watched.size(), 6u);
  EXPECT_EQ(watched[0]->track, 1);
  EXPECT_EQ(watched[1]->track, 0);
  EXPECT_FALSE(watched[2]);  // a short loss of the face that is looked at
  EXPECT_EQ(watched[3]->track, 0);
  EXPECT_EQ(watched[4]->track, 1);
  EXPECT_FALSE(watched[5]);
}

TEST(MainFace, IsNothingInFramesWithoutIt) {
  const auto chosen = main_face({{face_of(7, 10, 1)}, {}, {face_of(8, 2, 1)}});
  EXPECT_TRUE(chosen[0].has_value());
  EXPECT_FALSE(chosen[1].has_value());
  EXPECT_FALSE(chosen[2].has_value());
}

TEST(MainFace, OfAClipWithoutFacesIsNothing) {
  const auto chosen = main_face({{}, {}});
  ASSERT_EQ(chosen.size(), 2);
  EXPECT_FALSE(chosen[0] || chosen[1]);
}

}  // namespace
}  // namespace microemo::media
