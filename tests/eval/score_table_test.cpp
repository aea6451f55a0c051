#include "microemo/eval/score_table.h"

#include "formats/support.h"
#include "microemo/base/json.h"
#include "microemo/formats/csv.h"

namespace microemo::eval {
namespace {

using test::expect_error;
using testing::ElementsAre;

class ScoreTables : public testing::Test {
 protected:
  const EmotionWheel wheel_ = load_wheel(std::filesystem::path(MICROEMO_SOURCE_DIR) / "data" / "wheels" / "microemo.csv");
  const std::vector<LabelPair> pairs_{{"a/0", "a", {"happy"}, {"joyful"}},
                                      {"a/1", "a", {"sad", "neutral"}, {"disappointed", "blorp"}},
                                      {"b/0", "b", {"neutral"}, {"happy"}},
                                      {"b/1", "b", {"angry", "bored"}, {"furious"}}};
};

TEST_F(ScoreTables, TheScoreIsTheMeanOverPairsOfTheFineGroups) {
  const ScoreTable table = score_predictions(pairs_, wheel_);
  EXPECT_EQ(table.pairs, 4);
  EXPECT_DOUBLE_EQ(table.pair_f, (1.0 + 0.0 + 2.0 / 3.0) / 3.0);
  EXPECT_EQ(table.groupings.at(0).score.pairs, 3);
}

TEST_F(ScoreTables, TheSectorsForgiveANeighbour) {
  const ScoreTable table = score_predictions(pairs_, wheel_);
  ASSERT_EQ(table.groupings.at(1).grouping, "sector");
  EXPECT_GT(table.groupings[1].score.pair_f, table.groupings[0].score.pair_f);
}

TEST_F(ScoreTables, TheIntervalHoldsTheScore) {
  const ScoreTable table = score_predictions(pairs_, wheel_);
  EXPECT_LE(table.pair_f_interval.low, table.pair_f);
  EXPECT_GE(table.pair_f_interval.high, table.pair_f);
  EXPECT_LT(table.pair_f_interval.low, table.pair_f_interval.high);
}

TEST_F(ScoreTables, TheIntervalIsOverTheClustersThatAreNamed) {
  const ScoreTable of_one = score_predictions(pairs_, wheel_, {}, {"speaker", {"s", "s", "s", "s"}});
  EXPECT_EQ(of_one.pair_f_interval.low, of_one.pair_f_interval.high);
  EXPECT_EQ(to_json(of_one)["bootstrap"]["clusters"], "speaker");
  EXPECT_EQ(to_json(score_predictions(pairs_, wheel_))["bootstrap"]["clusters"], "clip");
  EXPECT_EQ(to_json(of_one)["bootstrap"]["cluster_count"], 1);
  expect_error(
      ErrorKind::internal,
      [&] {
        score_predictions(pairs_, wheel_, {}, {"speaker", {"s"}});
      },
      "1 clusters of 4 pairs");
}

TEST_F(ScoreTables, IntervalsOverDialoguesSpeakersAndClipsAreThoseOfNumPy) {
  const Json expected = read_json(test::data_folder() / "eval" / "expected.json").at("clusters");
  std::vector<LabelPair> pairs;
  std::vector<std::string> dialogues, speakers;
  for (const Json& pair : expected.at("pairs")) {
    pairs.push_back({pair.at("id"), pair.at("clip"), pair.at("truth"), pair.at("predicted")});
    dialogues.push_back(pair.at("dialogue"));
    speakers.push_back(pair.at("speaker"));
  }
  const std::vector<std::string> none(pairs.size());
  for (const auto& [kind, clusters] :
       {std::pair("dialogue", best_clusters(dialogues, speakers)), std::pair("speaker", best_clusters(none, speakers)),
        std::pair("clip", best_clusters(none, none))}) {
    const ScoreTable table = score_predictions(pairs, wheel_, {.resamples = 50'000}, clusters);
    EXPECT_EQ(table.clusters, kind);
    const Json& interval = expected.at("intervals").at(kind);
    EXPECT_NEAR(table.pair_f_interval.low, interval.at("pair_f")[0].get<double>(), 0.005) << kind;
    EXPECT_NEAR(table.pair_f_interval.high, interval.at("pair_f")[1].get<double>(), 0.005) << kind;
    EXPECT_NEAR(table.set_f_interval.low, interval.at("set_f")[0].get<double>(), 0.005) << kind;
    EXPECT_NEAR(table.set_f_interval.high, interval.at("set_f")[1].get<double>(), 0.005) << kind;
  }
}

TEST(BestClusters, AreTheFirstKindThatEveryPairNames) {
  const auto kind = [](const PairClusters& clusters) { return clusters.kind; };
  EXPECT_EQ(kind(best_clusters({"d", "d"}, {"s", "t"})), "dialogue");
  EXPECT_THAT(best_clusters({"d", "d"}, {"s", "t"}).of_pair, ElementsAre("d", "d"));
  EXPECT_EQ(kind(best_clusters({"d", ""}, {"s", "t"})), "speaker");
  EXPECT_THAT(best_clusters({"d", ""}, {"s", "t"}).of_pair, ElementsAre("s", "t"));
  EXPECT_EQ(kind(best_clusters({"d", ""}, {"", "t"})), "clip");
  EXPECT_THAT(best_clusters({"", "d"}, {"s", ""}).of_pair, testing::IsEmpty());
  EXPECT_EQ(kind(best_clusters({}, {})), "clip");
}

TEST_F(ScoreTables, WhatIsLeftOutIsListed) {
  const ScoreTable table = score_predictions(pairs_, wheel_);
  EXPECT_THAT(table.skipped, ElementsAre("b/0"));
  EXPECT_EQ(table.unknown_truth, (std::map<std::string, int64_t>{{"neutral", 2}}));
  EXPECT_EQ(table.unknown_predicted, (std::map<std::string, int64_t>{{"blorp", 1}}));
}

TEST_F(ScoreTables, AResultNamesItsWheel) {
  const Json json = to_json(score_predictions(pairs_, wheel_));
  EXPECT_EQ(json.at("wheel").at("name"), "microemo");
  EXPECT_EQ(json.at("wheel").at("sha256"), wheel_.hash);
  EXPECT_EQ(json.at("wheel").at("files").at(0).at("sha256"), wheel_.hash);
  EXPECT_EQ(json.at("pair_f").at("value").get<double>(), score_predictions(pairs_, wheel_).pair_f);
}

TEST_F(ScoreTables, EveryPairHasARow) {
  const TemporaryFolder folder;
  write_pair_scores(folder.path() / "pairs.csv", pairs_, wheel_, {"microemo", "rules-1", "0123", "test"});
  const formats::Table table = formats::read_csv(folder.path() / "pairs.csv");
  EXPECT_THAT(table.header, ElementsAre("id", "truth", "predicted", "group truth", "group predicted", "group f", "wheel_release",
                                        "extractor", "data_version", "split"));
  ASSERT_EQ(table.rows.size(), 4u);
  EXPECT_THAT(table.rows[2].fields,
              ElementsAre("b/0", "neutral", "happy", "", "joyful", "", "microemo", "rules-1", "0123", "test"));
  EXPECT_THAT(table.rows[3].fields, ElementsAre("b/1", "angry; bored", "furious", "angry; bored", "angry", "0.666667", "microemo",
                                                "rules-1", "0123", "test"));
}

TEST_F(ScoreTables, RefusesTruthsOfWhichTheWheelKnowsNone) {
  expect_error(
      ErrorKind::data,
      [&] {
        score_predictions({{"a", "a", {"高兴"}, {"happy"}}}, wheel_);
      },
      "none of the 1 truths has a label", "microemo.csv", "the wheel's language");
}

}  // namespace
}  // namespace microemo::eval
