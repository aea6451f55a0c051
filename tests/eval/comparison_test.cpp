#include "microemo/eval/comparison.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "microemo/eval/score_table.h"
#include "support/errors.h"

namespace microemo::eval {
namespace {

using test::expect_error;

/// Twelve clips of two utterances; a run is right about the first `right` of the 24.
std::vector<LabelPair> pairs(int right) {
  std::vector<LabelPair> all;
  for (int i = 0; i < 24; ++i) {
    const std::string clip = "clip" + std::to_string(i / 2);
    const std::string truth = i % 3 == 0 ? "happy" : "sad", wrong = i % 3 == 0 ? "sad" : "happy";
    all.push_back({clip + "/" + std::to_string(i % 2), clip, {truth}, {i < right ? truth : wrong}});
  }
  return all;
}

class Compared : public testing::Test {
 protected:
  const EmotionWheel wheel_ = load_wheel(own_wheel_path());
};

TEST_F(Compared, HaveTheScoresOfTheScoreTable) {
  const Comparison comparison = compare({{"a", pairs(6)}, {"b", pairs(18)}}, wheel_);
  const ScoreTable a = score_predictions(pairs(6), wheel_), b = score_predictions(pairs(18), wheel_);
  EXPECT_DOUBLE_EQ(comparison.f[0], a.pair_f);
  EXPECT_DOUBLE_EQ(comparison.f[1], b.pair_f);
  ASSERT_EQ(comparison.against_first.size(), 1u);
  EXPECT_DOUBLE_EQ(comparison.against_first[0].test.difference, b.pair_f - a.pair_f);
  EXPECT_LE(comparison.intervals[0].low, a.pair_f);
  EXPECT_GE(comparison.intervals[0].high, a.pair_f);
}

TEST_F(Compared, DifferByWhatIsThereAndNotByChance) {
  const Comparison far = compare({{"a", pairs(0)}, {"b", pairs(24)}}, wheel_),
                   same = compare({{"a", pairs(12)}, {"b", pairs(12)}}, wheel_);
  EXPECT_LT(far.against_first[0].test.p_value, 0.01);
  EXPECT_GT(far.against_first[0].test.interval.low, 0);
  EXPECT_EQ(same.against_first[0].test.p_value, 1);
  EXPECT_EQ(same.against_first[0].test.difference, 0);
}

TEST_F(Compared, AreMatchedByIdWhateverTheirOrder) {
  std::vector<LabelPair> turned = pairs(18);
  std::reverse(turned.begin(), turned.end());
  const Comparison comparison = compare({{"a", pairs(6)}, {"b", turned}}, wheel_),
                   plain = compare({{"a", pairs(6)}, {"b", pairs(18)}}, wheel_);
  EXPECT_EQ(comparison.f, plain.f);
  EXPECT_EQ(comparison.against_first[0].test.p_value, plain.against_first[0].test.p_value);
}

TEST_F(Compared, ListTheBiggestDifferencesFirst) {
  const Comparison comparison = compare({{"a", pairs(6)}, {"b", pairs(9)}}, wheel_);
  ASSERT_EQ(comparison.items.size(), 24u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(comparison.items[i].item, 6 + i);
    EXPECT_GT(comparison.items[i].spread, 0);
  }
  EXPECT_EQ(comparison.items[3].item, 0u);
  EXPECT_EQ(comparison.items[3].spread, 0);
}

TEST_F(Compared, AdjustPValuesForTheirNumber) {
  const Comparison comparison = compare({{"a", pairs(0)}, {"b", pairs(24)}, {"c", pairs(14)}, {"d", pairs(1)}}, wheel_);
  std::vector<double> p, holm;
  for (const RunComparison& one : comparison.against_first) p.push_back(one.test.p_value), holm.push_back(one.p_holm);
  ASSERT_LE(p[0], p[1]);
  ASSERT_LE(p[1], p[2]);
  EXPECT_DOUBLE_EQ(holm[0], std::min(1.0, 3 * p[0]));
  EXPECT_DOUBLE_EQ(holm[1], std::max(holm[0], std::min(1.0, 2 * p[1])));
  EXPECT_DOUBLE_EQ(holm[2], std::max(holm[1], p[2]));
}

TEST_F(Compared, MustBeOfTheSameItemsAndTruths) {
  const auto refused = [&](std::vector<LabelPair> other, const std::string& message) {
    const Error error = expect_error(
        ErrorKind::data,
        [&] {
          compare({{"one", pairs(6)}, {"two", other}}, wheel_);
        },
        message);
    EXPECT_THAT(error.next_step(), testing::HasSubstr("the same clips"));
  };
  std::vector<LabelPair> fewer = pairs(6), more = pairs(6), other = pairs(6);
  fewer.pop_back();
  more.push_back({"clip99/0", "clip99", {"happy"}, {}});
  other[3].truth = {"angry"};
  refused(fewer, "two lacks items of one: clip11/1");
  refused(more, "two has items that one lacks: clip99/0");
  refused(other, "two has other true labels than one: clip1/1");
  refused({}, "two lacks items of one: clip0/0, clip0/1, clip1/0, clip1/1, clip2/0, clip2/1, clip3/0, clip3/1 and 16 more");
}

TEST_F(Compared, RefuseTruthsThatTheWheelDoesNotKnow) {
  const std::vector<LabelPair> unknown{{"a/0", "a", {"zzz"}, {"happy"}}};
  expect_error(
      ErrorKind::data,
      [&] {
        compare({{"one", unknown}, {"two", unknown}}, wheel_);
      },
      "none of the 1 truths has a label");
  expect_error(
      ErrorKind::data,
      [&] {
        compare({{"one", {}}, {"two", {}}}, wheel_);
      },
      "none of the 0 truths");
}

}  // namespace
}  // namespace microemo::eval
