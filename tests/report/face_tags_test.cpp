#include "microemo/report/face_sheet.h"

#include <gtest/gtest.h>

#include <random>

#include "support/errors.h"

namespace microemo::report {
namespace {

using media::Box;
using media::Point;

constexpr int width = 264, height = 148, tag_height = 15;

void expect_apart(const std::vector<Box>& boxes, const std::vector<int>& widths, size_t least) {
  const auto places = place_tags(width, height, boxes, widths, tag_height);
  ASSERT_EQ(places.size(), boxes.size());
  size_t placed = 0;
  for (size_t i = 0; i < places.size(); ++i) {
    if (!places[i]) continue;
    ++placed;
    EXPECT_GE(places[i]->x, 0);
    EXPECT_GE(places[i]->y, 0);
    EXPECT_LE(places[i]->x + widths[i], width);
    EXPECT_LE(places[i]->y + tag_height, height);
    for (size_t j = 0; j < i; ++j)
      if (places[j]) {
        const bool apart = places[i]->x + widths[i] <= places[j]->x || places[j]->x + widths[j] <= places[i]->x ||
                           places[i]->y + tag_height <= places[j]->y || places[j]->y + tag_height <= places[i]->y;
        EXPECT_TRUE(apart) << i << " and " << j;
      }
  }
  EXPECT_GE(placed, least);
}

TEST(FaceTags, StandAboveTheirBox) {
  const auto places = place_tags(width, height, {{100, 50, 160, 110}}, {14}, tag_height);
  ASSERT_TRUE(places[0]);
  EXPECT_EQ(places[0]->x, 100);
  EXPECT_EQ(places[0]->y, 35);
}

TEST(FaceTags, StayInThePicture) {
  expect_apart({{-20, -10, 40, 50}}, {14}, 1);
  expect_apart({{230, 100, 300, 170}}, {20}, 1);
  expect_apart({{-5, -5, 270, 150}}, {20}, 1);
}

TEST(FaceTags, OfThreeFacesInOnePlaceAreApart) {
  expect_apart({{100, 50, 130, 80}, {102, 52, 132, 82}, {98, 48, 128, 78}}, {14, 14, 20}, 3);
}

TEST(FaceTags, OfTwelveFacesSideBySideAreApart) {
  std::vector<Box> boxes;
  for (int i = 0; i < 12; ++i) boxes.push_back({22.0 * i, 40, 22.0 * i + 21, 61});
  expect_apart(boxes, std::vector<int>(12, 20), 12);
}

TEST(FaceTags, OfManyFacesAnywhereNeverOverlap) {
  std::mt19937 random(3);
  for (int round = 0; round < 200; ++round) {
    std::vector<Box> boxes;
    std::vector<int> widths;
    for (int i = 0; i < 30; ++i) {
      const double x = double(random() % width), y = double(random() % height), side = 10 + double(random() % 40);
      boxes.push_back({x, y, x + side, y + side});
      widths.push_back(10 + int(random() % 20));
    }
    expect_apart(boxes, widths, 1);
  }
}

TEST(FaceTags, WithoutRoomAreLeftOut) {
  const auto places = place_tags(30, 12, {{0, 0, 10, 10}}, {14}, tag_height);
  EXPECT_FALSE(places[0]);
  EXPECT_FALSE(place_tags(10, 100, {{0, 0, 10, 10}}, {14}, tag_height)[0]);
}

TEST(FaceTags, RefuseAnotherNumberOfWidths) {
  test::expect_error(
      ErrorKind::internal,
      [] {
        place_tags(width, height, {{0, 0, 1, 1}}, {}, tag_height);
      },
      "0 labels of 1 faces");
}

}  // namespace
}  // namespace microemo::report
