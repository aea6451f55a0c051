#include "microemo/eval/interval.h"

#include <cmath>
#include <limits>

#include "formats/support.h"
#include "microemo/base/json.h"

namespace microemo::eval {
namespace {

using test::expect_error;

std::function<double(const std::vector<size_t>&)> mean_of(std::vector<double> values) {
  return [values = std::move(values)](const std::vector<size_t>& drawn) {
    double sum = 0;
    for (const size_t at : drawn) sum += values[at];
    return sum / static_cast<double>(drawn.size());
  };
}

const std::vector<std::string> four{"a", "b", "c", "d"};

TEST(Bootstrap, AgreesWithNumPysResampling) {
  const Json expected = read_json(test::data_folder() / "eval" / "expected.json").at("bootstrap");
  const Interval interval = bootstrap_interval(expected.at("clusters"), mean_of(expected.at("values")), {.resamples = 20'000});
  EXPECT_NEAR(interval.low, expected.at("low").get<double>(), 0.005);
  EXPECT_NEAR(interval.high, expected.at("high").get<double>(), 0.005);
}

TEST(Bootstrap, IsAFunctionOfItsSeed) {
  const auto statistic = mean_of({0, 1, 0.25, 0.5});
  const auto low = [&](uint64_t seed) { return bootstrap_interval(four, statistic, {.resamples = 10, .seed = seed}).low; };
  EXPECT_EQ(low(1), low(1));
  EXPECT_NE(low(1), low(2));
}

TEST(Bootstrap, DrawsItemsOfAClusterTogether) {
  bootstrap_interval({"a", "b", "a", "b"}, [](const std::vector<size_t>& drawn) {
    EXPECT_EQ(drawn.size(), 4u);
    for (size_t i = 0; i < drawn.size(); i += 2) EXPECT_EQ(drawn[i] + 2, drawn[i + 1]);
    return 0.0;
  });
}

TEST(Bootstrap, ItemsThatAgreeHaveNoWidth) {
  const Interval interval = bootstrap_interval(four, mean_of({0.5, 0.5, 0.5, 0.5}));
  EXPECT_EQ(interval.low, 0.5);
  EXPECT_EQ(interval.high, 0.5);
}

TEST(Bootstrap, ValuesThatAreNoNumbersAreLeftOut) {
  const double none = std::numeric_limits<double>::quiet_NaN();
  int calls = 0;
  const Interval some = bootstrap_interval(four, [&](const auto&) { return ++calls % 2 == 0 ? none : 1.0; });
  EXPECT_EQ(some.low, 1.0);
  EXPECT_TRUE(std::isnan(bootstrap_interval(four, [&](const auto&) { return none; }).high));
}

TEST(Bootstrap, RefusesNoItems) {
  expect_error(
      ErrorKind::internal, [] { bootstrap_interval({}, mean_of({})); }, "a bootstrap of 0 items");
}

TEST(Bootstrap, RefusesFullConfidence) {
  expect_error(
      ErrorKind::internal,
      [] {
        bootstrap_interval(four, mean_of({1, 2, 3, 4}), {.confidence = 1});
      },
      "confidence 1");
}

TEST(FewClusters, AreSaidToBeFew) {
  EXPECT_EQ(few_clusters_text(2, "speaker"), "intervals over 2 speakers say little: over so few they are too narrow");
  EXPECT_EQ(few_clusters_text(1, "clip"), "intervals over 1 clip say little: over so few they are too narrow");
  EXPECT_NE(few_clusters_text(19, "clip"), "");
  EXPECT_EQ(few_clusters_text(20, "clip"), "");
}

}  // namespace
}  // namespace microemo::eval
