#include "microemo/eval/scores.h"

#include <cmath>

#include "formats/support.h"
#include "microemo/base/json.h"

namespace microemo::eval {
namespace {

using test::expect_error;

const Grouping plain{"plain", {{"a", "A"}, {"b", "B"}, {"c", "C"}, {"aa", "A"}}};

const Json& expected() {
  static const Json values = read_json(test::data_folder() / "eval" / "expected.json");
  return values;
}

TEST(SetScores, EqualThoseComputedInPython) {
  const EmotionWheel wheel = load_wheel(std::filesystem::path(MICROEMO_SOURCE_DIR) / "data" / "wheels" / "microemo.csv");
  const Json cases = expected().at("own_wheel");
  std::vector<LabelPair> pairs;
  for (const Json& pair : cases.at("pairs"))
    pairs.push_back({pair.at("id"), pair.at("id"), pair.at("truth"), pair.at("predicted")});
  for (const auto& [name, numbers] : cases.at("scores").items()) {
    const SetScore score = score_sets(pairs, wheel.grouping(name));
    EXPECT_EQ(score.pairs, numbers.at("pairs").get<int64_t>());
    EXPECT_NEAR(score.precision, numbers.at("precision").get<double>(), 1e-12);
    EXPECT_NEAR(score.recall, numbers.at("recall").get<double>(), 1e-12);
    EXPECT_NEAR(score.f, numbers.at("f").get<double>(), 1e-12);
    EXPECT_NEAR(score.pair_f, numbers.at("pair_f").get<double>(), 1e-12);
  }
}

TEST(SetScores, AnEmptyPredictionCountsAsZero) {
  const SetScore score = score_sets({{"1", "1", {"a"}, {}}, {"2", "2", {"b"}, {"b"}}}, plain);
  EXPECT_EQ(score.pairs, 2);
  EXPECT_DOUBLE_EQ(score.precision, 0.5);
  EXPECT_DOUBLE_EQ(score.pair_f, 0.5);
}

TEST(SetScores, APredictionThatTheWheelDoesNotKnowCountsAsZero) {
  EXPECT_DOUBLE_EQ(score_sets({{"1", "1", {"a"}, {"neutral"}}}, plain).pair_f, 0);
}

TEST(SetScores, ATruthThatTheWheelDoesNotKnowIsLeftOut) {
  EXPECT_EQ(score_sets({{"1", "1", {"neutral"}, {"a"}}, {"2", "2", {"b"}, {"b"}}}, plain).pairs, 1);
}

TEST(SetScores, SynonymsCountOnce) { EXPECT_DOUBLE_EQ(score_sets({{"1", "1", {"a", "aa"}, {"aa"}}}, plain).pair_f, 1); }

TEST(SetScores, NothingRightIsZero) {
  const SetScore score = score_sets({{"1", "1", {"a"}, {"b"}}}, plain);
  EXPECT_DOUBLE_EQ(score.f, 0);
  EXPECT_DOUBLE_EQ(score.pair_f, 0);
}

TEST(SetScores, WithoutAnyPairThereIsNoNumber) {
  const SetScore score = score_sets({{"1", "1", {"neutral"}, {"a"}}}, plain);
  EXPECT_EQ(score.pairs, 0);
  EXPECT_TRUE(std::isnan(score.f) && std::isnan(score.pair_f));
}

TEST(Hits, NamingEveryClassOfTheDataDoesNotPay) {
  const HitScore score = score_hits({{"1", "1", {"a"}, {"a", "b", "c"}}, {"2", "2", {"b"}, {"b"}}}, plain);
  EXPECT_DOUBLE_EQ(score.hit, 1);
  EXPECT_DOUBLE_EQ(score.mscore, 0.75);
}

TEST(Sentiment, EqualsTheNumbersOfPython) {
  for (const Json& example : expected().at("sentiment")) {
    const auto score = score_sentiment(example.at("truth"), example.at("predicted"));
    EXPECT_EQ(score.items, example.at("items").get<int64_t>());
    EXPECT_NEAR(score.accuracy, example.at("accuracy").get<double>(), 1e-12);
    EXPECT_NEAR(score.weighted_f, example.at("weighted_f").get<double>(), 1e-12);
  }
}

TEST(Sentiment, RefusesListsOfTwoLengths) {
  expect_error(
      ErrorKind::internal, [] { score_sentiment({1.0}, {}); }, "1 truths and 0 predictions");
}

TEST(CachedGroups, EveryMemberStandsForTheFirstOfItsGroup) {
  const auto groups = parse_cached_groups("[['happy', 'joyful'], [\"sad\"]]");
  EXPECT_EQ(groups, (std::unordered_map<std::string, std::string>{{"happy", "happy"}, {"joyful", "happy"}, {"sad", "sad"}}));
}

TEST(CachedGroups, RefusesAPairWithoutGroups) {
  expect_error(
      ErrorKind::data,
      [] {
        score_cached_groups({{"x", "x", {"a"}, {"a"}}}, {});
      },
      "no cached groups for 'x'");
}

TEST(CachedGroups, RefusesAnEmptyTruthWithAPrediction) {
  expect_error(
      ErrorKind::data,
      [] {
        score_cached_groups({{"x", "x", {}, {"a"}}}, {{"x", "[]"}});
      },
      "the truth of 'x' is empty");
}

}  // namespace
}  // namespace microemo::eval
