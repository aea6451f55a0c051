#include "microemo/base/random.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>
#include <set>

#include <gtest/gtest.h>

#include "microemo/base/json.h"
#include "support/errors.h"

namespace microemo {
namespace {

using test::expect_error;

const Json& golden() {
  static const Json values = read_json(std::filesystem::path(MICROEMO_SOURCE_DIR) / "tests/data/philox.json");
  return values;
}

Random stream(uint64_t seed, const std::string& purpose, const std::vector<uint64_t>& c) {
  switch (c.size()) {
    case 0:
      return Random(seed, purpose);
    case 1:
      return Random(seed, purpose, {c[0]});
    case 3:
      return Random(seed, purpose, {c[0], c[1], c[2]});
    default:
      return Random(seed, purpose, {c.at(0), c.at(1), c.at(2), c.at(3), c.at(4), c.at(5), c.at(6), c.at(7)});
  }
}

TEST(Random, EqualsNumpyBitForBit) {
  for (const Json& example : golden()["keys"]) {
    Random random(example["key"].get<std::array<uint64_t, 2>>());
    for (const Json& bits : example["bits"]) EXPECT_EQ(random.bits(), bits.get<uint64_t>()) << example["key"];
  }
}

TEST(Random, DrawsTheUniformNumbersOfNumpy) {
  for (const Json& example : golden()["keys"]) {
    Random random(example["key"].get<std::array<uint64_t, 2>>());
    for (const Json& number : example["uniform"]) EXPECT_EQ(random.uniform(), number.get<double>()) << example["key"];
  }
}

TEST(Random, DerivesTheKeyOfAStreamAsDocumented) {
  for (const Json& example : golden()["streams"]) {
    Random random = stream(example["seed"].get<uint64_t>(), example["purpose"].get<std::string>(),
                           example["coordinates"].get<std::vector<uint64_t>>());
    for (const Json& bits : example["bits"]) EXPECT_EQ(random.bits(), bits.get<uint64_t>()) << example;
  }
}

TEST(Random, DrawsTheSameForTheSameName) {
  Random first(3, "augment", {1, 2}), second(3, "augment", {1, 2});
  for (int i = 0; i < 100; ++i) EXPECT_EQ(first.bits(), second.bits());
}

TEST(Random, DrawsDifferentlyWhenAnyPartOfTheNameDiffers) {
  std::vector<Random> streams{
      Random(3, "augment", {1, 2}),
      Random(4, "augment", {1, 2}),
      Random(3, "augmens", {1, 2}),
      Random(3, "augment", {2, 1}),
      Random(3, "augment", {1, 2, 0}),
      Random(3, "augment", {1}),
      Random(3, "augment"),
      Random(3, "", {1, 2}),
      Random(3, std::string_view("augment\0", 8), {1, 2}),
      Random(3, "augment", {0, 1, 2}),
      Random(3, "augment", {1, 2, 0, 0}),
      Random(3, "a purpose of more than sixteen letters", {1, 2}),
      Random(3, "dropout", {1, 2}),
      Random(uint64_t{3} << 32, "augment", {1, 2}),
      Random(3, "a purpose of more than sixteen letterS", {1, 2}),
  };
  std::set<uint64_t> drawn;
  for (Random& random : streams) drawn.insert(random.bits());
  EXPECT_EQ(drawn.size(), streams.size());
}

TEST(Random, GivesEachOfManyCoordinatesItsOwnStream) {
  std::set<uint64_t> drawn;
  for (uint64_t step = 0; step < 100; ++step)
    for (uint64_t sample = 0; sample < 100; ++sample) drawn.insert(Random(1, "dropout", {step, sample}).bits());
  EXPECT_EQ(drawn.size(), 10000u);
}

TEST(Random, RefusesMoreThanEightCoordinates) {
  expect_error(
      ErrorKind::internal,
      [] {
        Random(1, "dropout", {1, 2, 3, 4, 5, 6, 7, 8, 9});
      },
      "9 coordinates for 'dropout'");
}

TEST(Random, RefusesANumberBelowZero) {
  expect_error(
      ErrorKind::internal, [] { Random(1, "x").below(0); }, "below 0");
}

TEST(Random, SpreadsUniformNumbersOverTheirInterval) {
  Random random(1, "test");
  std::vector<int> counts(10);
  for (int i = 0; i < 100000; ++i) {
    const double number = random.uniform(-5, 5);
    ASSERT_GE(number, -5.0);
    ASSERT_LT(number, 5.0);
    ++counts[static_cast<size_t>(number + 5)];
  }
  // 10 standard deviations of a binomial count of 10,000.
  for (const int count : counts) EXPECT_NEAR(count, 10000, 950);
}

TEST(Random, SpreadsNumbersBelowALimitEvenly) {
  Random random(1, "test");
  std::vector<int> counts(7);
  for (int i = 0; i < 70000; ++i) ++counts.at(random.below(7));
  for (const int count : counts) EXPECT_NEAR(count, 10000, 950);
}

TEST(Random, StaysBelowALimitThatDoesNotDivideTheRange) {
  const uint64_t limit = (uint64_t{1} << 63) + 1;
  Random random(1, "test");
  for (int i = 0; i < 1000; ++i) EXPECT_LT(random.below(limit), limit);
}

TEST(Random, DrawsOnlyZeroBelowOne) {
  Random random(1, "test");
  for (int i = 0; i < 10; ++i) EXPECT_EQ(random.below(1), 0u);
}

TEST(Random, DrawsNormalNumbersWithTheirMoments) {
  Random random(1, "test");
  double sum = 0, squares = 0, fourth = 0;
  const int count = 200000;
  for (int i = 0; i < count; ++i) {
    const double number = random.normal();
    ASSERT_TRUE(std::isfinite(number));
    sum += number;
    squares += number * number;
    fourth += number * number * number * number;
  }
  EXPECT_NEAR(sum / count, 0.0, 0.02);
  EXPECT_NEAR(squares / count, 1.0, 0.03);
  EXPECT_NEAR(fourth / count, 3.0, 0.2);
}

TEST(Random, NeverTakesAnImpossibleChanceAndAlwaysACertainOne) {
  Random random(1, "test");
  for (int i = 0; i < 1000; ++i) {
    EXPECT_FALSE(random.chance(0.0));
    EXPECT_TRUE(random.chance(1.0));
  }
}

TEST(Random, ShufflesEveryElementToEveryPlace) {
  std::set<std::pair<size_t, int>> seen;
  for (uint64_t trial = 0; trial < 300; ++trial) {
    std::vector<int> items{0, 1, 2, 3, 4};
    Random(1, "test", {trial}).shuffle(items);
    for (size_t place = 0; place < items.size(); ++place) seen.insert({place, items[place]});
    std::sort(items.begin(), items.end());
    ASSERT_EQ(items, (std::vector<int>{0, 1, 2, 3, 4}));
  }
  EXPECT_EQ(seen.size(), 25u);
}

TEST(Random, PicksEveryItem) {
  Random random(1, "test");
  const std::vector<int> items{4, 5, 6};
  std::set<int> picked;
  for (int i = 0; i < 100; ++i) picked.insert(random.pick(items));
  EXPECT_EQ(picked, (std::set<int>{4, 5, 6}));
}

}  // namespace
}  // namespace microemo
