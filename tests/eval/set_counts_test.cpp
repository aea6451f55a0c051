#include "microemo/eval/set_counts.h"

#include <cmath>

#include "formats/support.h"
#include "microemo/base/json.h"

namespace microemo::eval {
namespace {

constexpr SetCounts counts(uint16_t shared, uint16_t predicted, uint16_t truth, uint16_t rivals = 0) {
  return {shared, predicted, truth, rivals};
}

TEST(Means, AreThoseOfNumPyBitForBit) {
  const Json expected = read_json(test::data_folder() / "eval" / "scores.json").at("means");
  for (const Json& example : expected) {
    const auto values = example.at("values").get<std::vector<double>>();
    if (values.empty())
      EXPECT_TRUE(std::isnan(mean_like_numpy(values)));
    else
      EXPECT_EQ(mean_like_numpy(values), example.at("mean").get<double>()) << values.size();
  }
}

TEST(SetMeansOf, NothingRightAreNoNumberIn2025AndZeroIn2026) {
  const std::vector<SetCounts> wrong = {counts(0, 1, 1)};
  const SetMeans old = mean_sets(wrong, EmptyRule::nan), fresh = mean_sets(wrong, EmptyRule::zero);
  EXPECT_TRUE(std::isnan(old.f));
  EXPECT_EQ(old.precision, 0);
  EXPECT_EQ(old.recall, 0);
  EXPECT_EQ(fresh.f, 0);
}

TEST(SetMeansOf, NoItemAreNoNumbersIn2025AndZerosIn2026) {
  const std::vector<SetCounts> neutral = {counts(0, 1, 0)};
  const SetMeans old = mean_sets(neutral, EmptyRule::nan), fresh = mean_sets(neutral, EmptyRule::zero);
  EXPECT_TRUE(std::isnan(old.f) && std::isnan(old.precision) && std::isnan(old.recall));
  EXPECT_EQ(fresh.f, 0);
  EXPECT_EQ(fresh.precision, 0);
  EXPECT_EQ(fresh.n, 0);
}

TEST(SetMeansOf, AnEmptyPredictionCountsAsZeroBoth) {
  const std::vector<SetCounts> items = {counts(0, 0, 2), counts(1, 1, 2)};
  const SetMeans means = mean_sets(items, EmptyRule::nan);
  EXPECT_EQ(means.n, 2);
  EXPECT_EQ(means.precision, 0.5);
  EXPECT_EQ(means.recall, 0.25);
}

TEST(HitMeansOf, AreNoNumbersWithoutItems) {
  const HitMeans means = mean_hits({});
  EXPECT_TRUE(std::isnan(means.hit) && std::isnan(means.mscore));
}

TEST(HitMeansOf, AMissHasNoRivalsAndScoresZero) {
  const std::vector<SetCounts> items = {counts(0, 1, 1, 0), counts(1, 3, 1, 2)};
  EXPECT_EQ(mean_hits(items).hit, 0.5);
  EXPECT_EQ(mean_hits(items).mscore, 0.25);
}

}  // namespace
}  // namespace microemo::eval
