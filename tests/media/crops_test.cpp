#include "microemo/media/crops.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <random>

#include <gtest/gtest.h>

#include "media.h"
#include "support/errors.h"

namespace microemo::media {
namespace {

/// A made-up face: only the points that alignment may use have meaning, the rest lie where any use of them would show.
Face face_at(const Similarity& pose, double mouth = 0) {
  Face face;
  for (int i = 0; i < 68; ++i) face.landmarks[size_t(i)] = pose.apply({mouth * (i % 7), mouth * (i % 5)});
  const std::pair<int, Point> rigid[] = {{36, {-30, 0}}, {39, {-12, 1}}, {42, {12, 1}}, {45, {30, 0}},
                                         {27, {0, 3}},   {28, {0, 9}},   {29, {1, 15}}, {30, {0, 21}}};
  for (const auto& [index, point] : rigid) face.landmarks[size_t(index)] = pose.apply(point);
  return face;
}

Similarity pose(double scale, double degrees, double x, double y) {
  const double angle = degrees * std::numbers::pi / 180;
  return {scale * std::cos(angle), scale * std::sin(angle), x, y};
}

void expect_point(Point actual, Point expected, double tolerance) {
  EXPECT_NEAR(actual.x, expected.x, tolerance);
  EXPECT_NEAR(actual.y, expected.y, tolerance);
}

TEST(Alignment, PutsTheEyeCornersAtTheirPlace) {
  for (const double degrees : {0.0, 25.0, -40.0}) {
    const Similarity truth = pose(1.7, degrees, 300, 200);
    const auto aligned = align_faces(std::vector<std::optional<Face>>(5, face_at(truth)), 64);
    ASSERT_TRUE(aligned[2].has_value());
    expect_point(aligned[2]->apply({0.22 * 64, 0.36 * 64}), truth.apply({-30, 0}), 1e-6);
    expect_point(aligned[2]->apply({0.78 * 64, 0.36 * 64}), truth.apply({30, 0}), 1e-6);
  }
}

TEST(Alignment, WithoutSmoothingFollowsEveryFrame) {
  std::vector<std::optional<Face>> track;
  std::vector<Similarity> truth;
  for (int i = 0; i < 20; ++i) {
    truth.push_back(pose(1.5 + 0.01 * i, 2.0 * i, 200 + 2 * i, 100 - i));
    track.push_back(face_at(truth.back(), 1.0 + i));
  }
  const auto aligned = align_faces(track, 112, 0);
  for (size_t i = 0; i < track.size(); ++i)
    expect_point(aligned[i]->apply({0.22 * 112, 0.36 * 112}), truth[i].apply({-30, 0}), 1e-6);
}

TEST(Alignment, SmoothingTakesTheJitterOut) {
  std::mt19937 random(3);
  std::normal_distribution<double> jitter(0, 1);
  std::vector<std::optional<Face>> track;
  for (int i = 0; i < 60; ++i) track.push_back(face_at(pose(1.5, 0, 200 + jitter(random), 100 + jitter(random))));
  const auto spread = [&](double sigma) {
    double sum = 0;
    for (const auto& similarity : align_faces(track, 64, sigma)) sum += std::pow(similarity->apply({32, 32}).x - 200, 2);
    return std::sqrt(sum / 60);
  };
  EXPECT_LT(spread(3), 0.5 * spread(0));
}

TEST(Alignment, FramesWithoutAFaceGetNothing) {
  std::vector<std::optional<Face>> track(9, face_at(pose(1.5, 0, 200, 100)));
  track[4].reset();
  const auto aligned = align_faces(track, 64);
  ASSERT_EQ(aligned.size(), 9);
  EXPECT_FALSE(aligned[4].has_value());
  EXPECT_TRUE(aligned[3] && aligned[5]);
}

TEST(Alignment, IsNotSmoothedAcrossACut) {
  std::vector<std::optional<Face>> track(6, face_at(pose(1.5, 0, 200, 100)));
  track.resize(12, face_at(pose(1.5, 0, 400, 150)));
  const auto aligned = align_faces(track, 64, 3);
  expect_point(aligned[5]->apply({0.22 * 64, 0.36 * 64}), pose(1.5, 0, 200, 100).apply({-30, 0}), 1e-6);
  expect_point(aligned[6]->apply({0.22 * 64, 0.36 * 64}), pose(1.5, 0, 400, 150).apply({-30, 0}), 1e-6);
}

TEST(Alignment, OfNoFaceAtAllIsNothing) {
  for (const auto& similarity : align_faces(std::vector<std::optional<Face>>(3), 64)) EXPECT_FALSE(similarity.has_value());
}

TEST(Alignment, LeavesOutAFaceWhoseEyesCoincide) {
  const auto aligned = align_faces({Face{}}, 64);
  EXPECT_FALSE(aligned[0].has_value());
}

/// Smooth enough that bilinear sampling hardly changes it.
double pattern(Point p) { return 128 + 50 * std::sin(p.x / 9) * std::cos(p.y / 7) + 30 * std::sin((p.x + p.y) / 15); }

Image painted(int width, int height, const Similarity& map) {
  Image image{width, height, 1, {}};
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) image.pixels.push_back(uint8_t(std::lround(pattern(map.apply({double(x), double(y)})))));
  return image;
}

TEST(Crops, TakeTheirPixelsFromWhereTheSimilaritySays) {
  const Image frame = painted(320, 240, {});
  for (const double scale : {0.7, 1.0, 2.4}) {
    const Similarity similarity = pose(scale, 20, 120, 30);
    const Image crop = crop_face(frame, similarity, 64), expected = painted(64, 64, similarity);
    double worst = 0;
    for (size_t i = 0; i < crop.pixels.size(); ++i)
      worst = std::max(worst, std::abs(double(crop.pixels[i]) - expected.pixels[i]));
    EXPECT_LE(worst, 4) << "scale " << scale;
  }
}

TEST(Crops, RepeatTheBorderOutsideTheFrame) {
  const Image frame{2, 2, 3, std::vector<uint8_t>(12, 200)};
  const Image crop = crop_face(frame, {1, 0, -20, -20}, 48);
  EXPECT_EQ(crop.channels, 3);
  for (const uint8_t value : crop.pixels) ASSERT_EQ(value, 200);
}

Image moved_by(const Image& photograph, double x, double y) { return crop_face(photograph, {1, 0, 32 - x, 32 - y}, 64); }

class MovementMaps : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto path = test::test_media("astronaut.png");
    if (!path) GTEST_SKIP() << test::no_test_media("astronaut.png");
    // The face, as large as alignment makes it, with room around it to move.
    photograph = crop_face(to_gray(read_image(*path)), {1.67, 0, 115, 19}, 128);
  }
  Image photograph;
};

TEST_F(MovementMaps, RecoverAKnownMovement) {
  for (const Point truth : {Point{1, 0}, Point{0, -1}, Point{-0.5, 0.75}}) {
    std::vector<Image> crops(5, moved_by(photograph, 0, 0));
    crops.push_back(moved_by(photograph, truth.x, truth.y));
    const auto maps = movement_maps(crops);
    ASSERT_EQ(maps[5].size(), 2u * 32 * 32);
    double error = 0;
    // Not at the border, where the box filters see repeated pixels.
    for (int y = 4; y < 28; ++y)
      for (int x = 4; x < 28; ++x) {
        const size_t i = size_t(y) * 32 + size_t(x);
        error += std::hypot(maps[5][i] * 3.0 / 127 - truth.x, maps[5][i + 32 * 32] * 3.0 / 127 - truth.y) / (24 * 24);
      }
    EXPECT_LT(error, 0.35 * std::hypot(truth.x, truth.y)) << truth.x << " " << truth.y;
  }
}

TEST_F(MovementMaps, DoNotSeeBrightness) {
  std::vector<Image> crops(5, moved_by(photograph, 0, 0));
  for (uint8_t& value : crops[2].pixels) value = uint8_t(std::lround(value * 0.85));
  const auto maps = movement_maps(crops);
  for (const int8_t value : maps[2]) EXPECT_LE(std::abs(value), 12);
}

TEST_F(MovementMaps, OfAStillFaceAreZero) {
  for (const auto& map : movement_maps(std::vector<Image>(4, moved_by(photograph, 0, 0))))
    for (const int8_t value : map) ASSERT_EQ(value, 0);
}

TEST_F(MovementMaps, StayInsideTheirRange) {
  std::vector<Image> crops(5, moved_by(photograph, 0, 0));
  crops.push_back(moved_by(photograph, 30, -25));
  const auto maps = movement_maps(crops);
  EXPECT_NE(*std::max_element(maps[5].begin(), maps[5].end()), 0);
  EXPECT_GE(*std::min_element(maps[5].begin(), maps[5].end()), -127);
}

TEST_F(MovementMaps, OfMissingCropsAreEmpty) {
  std::vector<Image> crops(4, moved_by(photograph, 0, 0));
  crops[1] = {};
  const auto maps = movement_maps(crops);
  EXPECT_TRUE(maps[1].empty());
  EXPECT_EQ(maps[0].size(), 2u * 32 * 32);
  EXPECT_TRUE(movement_maps({Image{}, Image{}})[0].empty());
}

TEST(MovementMapsOf, DifferentSizesAreAMistake) {
  const Image small{32, 32, 1, std::vector<uint8_t>(32 * 32)}, large{64, 64, 1, std::vector<uint8_t>(64 * 64)};
  test::expect_error(
      ErrorKind::internal,
      [&] {
        movement_maps({small, large});
      },
      "64 x 64");
}

}  // namespace
}  // namespace microemo::media
