#include "microemo/eval/resample.h"

#include <cmath>

#include "formats/support.h"

namespace microemo::eval {
namespace {

using test::expect_error;

/// Items and their values: slots 0 and 1.
ScoreParts parts_of(const std::vector<double>& values) {
  ScoreParts parts{{}, {}, {}, 2};
  for (const double value : values) {
    parts.add(0, 1);
    parts.add(1, value);
    parts.end_item();
  }
  return parts;
}

double mean(std::span<const double> sums) { return sums[1] / sums[0]; }

std::vector<uint32_t> own_clusters(size_t count) {
  std::vector<uint32_t> clusters(count);
  for (uint32_t i = 0; i < count; ++i) clusters[i] = i;
  return clusters;
}

const std::vector<double> some{0, 1, 0.25, 0.5, 0.75, 1, 0, 0.5};

TEST(Resamples, AreThoseOfTheBootstrapOverPositions) {
  const std::vector<std::string> names{"a", "b", "a", "c", "d", "b", "e", "e"};
  const std::vector<uint32_t> numbers{0, 1, 0, 2, 3, 1, 4, 4};
  const Interval of_positions = bootstrap_interval(names, [](const std::vector<size_t>& drawn) {
    double sum = 0;
    for (const size_t at : drawn) sum += some[at];
    return sum / static_cast<double>(drawn.size());
  });
  const std::vector<ScoreOfSums> scores{mean};
  const Interval of_sums = bootstrap_scores(parts_of(some), numbers, scores)[0];
  EXPECT_NEAR(of_sums.low, of_positions.low, 1e-12);
  EXPECT_NEAR(of_sums.high, of_positions.high, 1e-12);
}

TEST(Resamples, OneClusterHasNoWidth) {
  const std::vector<ScoreOfSums> scores{mean};
  const Interval interval = bootstrap_scores(parts_of(some), std::vector<uint32_t>(some.size()), scores)[0];
  EXPECT_EQ(interval.low, interval.high);
}

TEST(Resamples, RefuseOtherNumbersOfItems) {
  const std::vector<ScoreOfSums> scores{mean};
  expect_error(
      ErrorKind::internal, [&] { bootstrap_scores(parts_of(some), own_clusters(3), scores); }, "8 items and 3 clusters");
  expect_error(
      ErrorKind::internal, [&] { compare_runs(parts_of(some), parts_of({1}), own_clusters(8), mean); }, "1 items and 8 clusters");
}

TEST(Resamples, OfManyItemsAreThoseOfEachAddedOneByOne) {
  // 40,000 items of 7 kinds, so that they are counted and drawn by several threads.
  std::vector<double> values;
  for (int i = 0; i < 40'000; ++i) values.push_back(double(i * i % 7) / 8);
  const BootstrapOptions options{.resamples = 30, .seed = 3};
  std::vector<std::string> names;
  for (size_t i = 0; i < values.size(); ++i) names.push_back(std::to_string(i));
  const Interval one_by_one = bootstrap_interval(
      names,
      [&](const std::vector<size_t>& drawn) {
        double sum = 0;
        for (const size_t at : drawn) sum += values[at];
        return sum / static_cast<double>(drawn.size());
      },
      options);
  const std::vector<ScoreOfSums> scores{mean};
  const Interval counted = bootstrap_scores(parts_of(values), own_clusters(values.size()), scores, options)[0];
  EXPECT_NEAR(counted.low, one_by_one.low, 1e-12);
  EXPECT_NEAR(counted.high, one_by_one.high, 1e-12);
}

TEST(Resamples, RefuseNoResamples) {
  const std::vector<ScoreOfSums> scores{mean};
  expect_error(
      ErrorKind::internal, [&] { bootstrap_scores(parts_of(some), own_clusters(8), scores, {.resamples = 0}); }, "0 resamples");
}

TEST(PairedTests, OfManyItemsFindASmallGainInBothDirections) {
  std::vector<double> first, second;
  for (int i = 0; i < 40'000; ++i) {
    first.push_back(double(i % 5) / 8);
    second.push_back(first.back() + (i % 100 == 0 ? 0.125 : 0));
  }
  const auto clusters = own_clusters(first.size());
  const BootstrapOptions options{.resamples = 60};
  const PairedTest test = compare_runs(parts_of(first), parts_of(second), clusters, mean, options);
  EXPECT_NEAR(test.difference, 0.00125, 1e-12);
  EXPECT_GT(test.interval.low, 0);
  EXPECT_EQ(test.p_value, 1.0 / 61);
  EXPECT_NEAR(compare_runs(parts_of(second), parts_of(first), clusters, mean, options).difference, -0.00125, 1e-12);
}

TEST(PairedTests, ARunDoesNotDifferFromItself) {
  const PairedTest test = compare_runs(parts_of(some), parts_of(some), own_clusters(some.size()), mean);
  EXPECT_EQ(test.difference, 0);
  EXPECT_EQ(test.p_value, 1);
  EXPECT_EQ(test.interval.low, 0);
  EXPECT_EQ(test.interval.high, 0);
}

TEST(PairedTests, AGainOnEveryItemIsNoAccident) {
  std::vector<double> better = some;
  for (double& value : better) value += 0.1;
  const PairedTest test = compare_runs(parts_of(some), parts_of(better), own_clusters(some.size()), mean);
  EXPECT_NEAR(test.difference, 0.1, 1e-12);
  EXPECT_NEAR(test.interval.low, 0.1, 1e-12);
  // All 8 items have to fall on one side: 2 of 256 assignments.
  EXPECT_NEAR(test.p_value, 2.0 / 256, 0.01);
}

TEST(PairedTests, ASingleClusterProvesNothing) {
  std::vector<double> better = some;
  for (double& value : better) value += 0.1;
  EXPECT_EQ(compare_runs(parts_of(some), parts_of(better), std::vector<uint32_t>(some.size()), mean).p_value, 1);
}

TEST(PairedTests, TheOrderOfTheRunsIsTheSignOfTheDifference) {
  const std::vector<double> other{1, 0, 0.5, 0.25, 0.5, 1, 1, 0.75};
  const auto clusters = own_clusters(some.size());
  const PairedTest there = compare_runs(parts_of(some), parts_of(other), clusters, mean),
                   back = compare_runs(parts_of(other), parts_of(some), clusters, mean);
  EXPECT_EQ(there.difference, -back.difference);
  EXPECT_EQ(there.p_value, back.p_value);
}

TEST(PairedTests, ScoresThatAreNoNumbersAreLeftOut) {
  const auto none = [](std::span<const double>) { return std::nan(""); };
  const PairedTest test = compare_runs(parts_of(some), parts_of(some), own_clusters(some.size()), none);
  EXPECT_TRUE(std::isnan(test.difference) && std::isnan(test.interval.low));
  EXPECT_EQ(test.p_value, 1);
}

}  // namespace
}  // namespace microemo::eval
