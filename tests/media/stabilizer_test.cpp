#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include "media.h"
#include "microemo/media/crops.h"
#include "microemo/media/face.h"
#include "support/errors.h"
#include "support/head_motion.h"

namespace microemo::media {
namespace {

constexpr int size = 112, frame_side = 400;

class HeldFace : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto path = test::test_media("grace_hopper_512x512.jpg");
    if (!path) GTEST_SKIP() << test::no_test_media("grace_hopper_512x512.jpg");
    photograph = to_gray(read_image(*path));
  }

  /// Where the face of the photograph lies.
  Similarity alignment(CropStyle style = CropStyle::openface) const {
    const std::vector<std::optional<Face>> faces = {detect_faces(photograph).at(0)};
    return *align_faces(faces, {.size = size, .style = style})[0];
  }

  static double distance(const Similarity& a, const Similarity& b) {
    double farthest = 0;
    for (const Point corner : {Point{0, 0}, Point{size, 0}, Point{0, size}, Point{size, size}}) {
      const Point p = a.apply(corner), q = b.apply(corner);
      farthest = std::max(farthest, std::hypot(p.x - q.x, p.y - q.y) / std::hypot(a.a, a.b));
    }
    return farthest;
  }

  Image photograph;
};

TEST_F(HeldFace, StaysStillWhileTheHeadMoves) {
  FaceTracker tracker;
  std::vector<Similarity> poses;
  std::vector<Image> frames;
  for (int i = 0; i < 75; ++i) {
    poses.push_back(test::head_pose(i / 25.0, photograph.width, frame_side, 1));
    frames.push_back(test::posed(photograph, poses.back(), frame_side, 4, uint32_t(i)));
    tracker.add(frames.back());
  }
  const auto faces = main_face(tracker.finish());
  for (const CropStyle style : {CropStyle::eyes, CropStyle::openface}) {
    auto aligned = align_faces(faces, {.size = size, .style = style, .follow_motion = true});
    EXPECT_GE(std::count_if(aligned.begin(), aligned.end(), [](const auto& s) { return s.has_value(); }), 74);
    const double landmarks_alone = test::jitter(aligned, poses, size);
    Stabilizer stabilizer(style, size);
    for (size_t i = 0; i < aligned.size(); ++i)
      if (aligned[i]) aligned[i] = stabilizer.add(frames[i], *aligned[i]);
    EXPECT_LE(test::jitter(aligned, poses, size), 0.3);
    EXPECT_LT(test::jitter(aligned, poses, size), landmarks_alone);
  }
}

TEST_F(HeldFace, IsHeldAtEverySizeAlike) {
  const Similarity small = alignment(), large{small.a / 2, small.b / 2, small.x, small.y};
  Stabilizer at_112(CropStyle::openface, 112), at_224(CropStyle::openface, 224);
  at_112.add(photograph, small), at_224.add(photograph, large);
  const Similarity a = at_112.add(photograph, {small.a, small.b, small.x + 3, small.y}),
                   b = at_224.add(photograph, {large.a, large.b, large.x + 3, large.y});
  EXPECT_LT(distance(a, {2 * b.a, 2 * b.b, b.x, b.y}), 1e-6);
}

TEST_F(HeldFace, IsFoundAgainWhereTheLandmarksMiss) {
  const Similarity right = alignment();
  for (const Point miss : {Point{4, 0}, Point{-3, 5}, Point{0, -6}}) {
    Stabilizer stabilizer(CropStyle::openface, size);
    stabilizer.add(photograph, right);
    EXPECT_LT(distance(stabilizer.add(photograph, {right.a, right.b, right.x + miss.x, right.y + miss.y}), right), 0.05);
  }
}

TEST_F(HeldFace, IsNotMovedByAMouth) {
  const Similarity right = alignment();
  const Face face = detect_faces(photograph).at(0);
  Image open = photograph;
  const Point middle = face.landmarks[66];
  for (int y = -18; y < 18; ++y)
    for (int x = -28; x < 28; ++x)
      if (x * x / (28.0 * 28) + y * y / (18.0 * 18) < 1) open.row(int(middle.y) + y)[int(middle.x) + x] = 20;
  Stabilizer stabilizer(CropStyle::openface, size);
  stabilizer.add(photograph, right);
  EXPECT_LT(distance(stabilizer.add(open, right), right), 0.3);
}

TEST_F(HeldFace, IsNotMovedByLight) {
  const Similarity right = alignment();
  Image dim = photograph;
  for (uint8_t& value : dim.pixels) value = uint8_t(std::lround(20 + 0.6 * value));
  Stabilizer stabilizer(CropStyle::openface, size);
  stabilizer.add(photograph, right);
  EXPECT_LT(distance(stabilizer.add(dim, right), right), 0.05);
}

TEST_F(HeldFace, IsWhereTheLandmarksSayWhenItIsGone) {
  const Similarity right = alignment();
  const Image nothing{512, 512, 1, std::vector<uint8_t>(512 * 512, 90)};
  Stabilizer stabilizer(CropStyle::openface, size);
  EXPECT_EQ(distance(stabilizer.add(photograph, right), right), 0);
  EXPECT_LT(distance(stabilizer.add(nothing, right), right), 1e-6);
  EXPECT_LT(distance(stabilizer.add(photograph, right), right), 1e-6);
}

TEST_F(HeldFace, IsNotFollowedFarFromItsLandmarks) {
  const Similarity right = alignment();
  Stabilizer stabilizer(CropStyle::openface, size);
  stabilizer.add(photograph, right);
  const Similarity far{right.a, right.b, right.x + 0.2 * size * right.a, right.y};
  EXPECT_LT(distance(stabilizer.add(photograph, far), far), 0.1 * size + 1e-6);
}

TEST(Stabilizers, OfCropsWithoutASizeAreAMistake) {
  test::expect_error(
      ErrorKind::internal, [] { Stabilizer(CropStyle::eyes, 0); }, "crops of 0 pixels");
}

class OpenFaceCrops : public HeldFace {};

TEST_F(OpenFaceCrops, ShowTheFaceFromEarToEar) {
  const Face face = detect_faces(photograph).at(0);
  const Similarity into_crop = test::inverse(alignment());
  const double left = into_crop.apply(face.landmarks[0]).x, right = into_crop.apply(face.landmarks[16]).x;
  // OpenFace's mean face is 144.8 mm wide there, at 0.7 pixel a millimetre.
  EXPECT_NEAR(right - left, 0.7 * 144.8, 8);
  EXPECT_NEAR((left + right) / 2, size / 2.0, 6);
  EXPECT_GT(into_crop.apply(face.landmarks[8]).y, 0.75 * size);
}

TEST_F(OpenFaceCrops, ShowTheSamePartAtEverySize) {
  const std::vector<std::optional<Face>> faces = {detect_faces(photograph).at(0)};
  const Similarity small = *align_faces(faces, {.size = 112, .style = CropStyle::openface})[0],
                   large = *align_faces(faces, {.size = 224, .style = CropStyle::openface})[0];
  EXPECT_LT(distance(small, {2 * large.a, 2 * large.b, large.x, large.y}), 1e-6);
}

TEST_F(OpenFaceCrops, OfASteadyMotionDoNotLagBehindIt) {
  const Face face = detect_faces(photograph).at(0);
  std::vector<std::optional<Face>> track;
  for (int i = 0; i < 40; ++i) {
    Face moved = face;
    for (Point& point : moved.landmarks) point.x += 0.05 * i * i;  // faster and faster
    track.push_back(moved);
  }
  const auto exact = align_faces(track, {.size = size, .style = CropStyle::openface, .smooth_frames = 0}),
             followed = align_faces(track, {.size = size, .style = CropStyle::openface, .follow_motion = true}),
             averaged = align_faces(track, {.size = size, .style = CropStyle::openface});
  for (size_t i = 0; i < track.size(); ++i) EXPECT_LT(distance(*followed[i], *exact[i]), 1e-6) << i;
  EXPECT_GT(distance(*averaged[20], *exact[20]), 0.1);
}

}  // namespace
}  // namespace microemo::media
