#include "microemo/eval/unibench.h"

#include "formats/support.h"
#include "microemo/eval/metric_name.h"
#include "microemo/eval/metrics.h"

namespace microemo::eval {
namespace {

using test::expect_error;
using testing::ElementsAre;

class UniBench : public testing::Test {
 protected:
  /// A CSV with as many rows as the set has, all with this label but the first, which has another.
  std::filesystem::path truths(const UniBenchSet& set, const std::string& first, const std::string& others,
                               int64_t missing = 0) const {
    std::string text = "name,openset\n";
    for (int64_t i = 0; i < set.items - missing; ++i) text += fmt::format("clip{},{}\n", i, i == 0 ? first : others);
    return test::write(folder_.path() / "t.csv", text);
  }
  std::vector<std::string> labels(const LabelTable& table, size_t item) const {
    std::vector<std::string> texts;
    for (const uint32_t word : table.labels_of(item)) texts.push_back(words_.text(word));
    return texts;
  }
  TemporaryFolder folder_;
  Vocabulary words_;
};

TEST_F(UniBench, HasNineSetsWithMetricsThatThereAre) {
  EXPECT_EQ(unibench_sets().size(), 9u);
  for (const UniBenchSet& set : unibench_sets()) {
    EXPECT_EQ(parse_metric(set.metric).name, set.metric);
    for (const std::string& other : set.others) EXPECT_EQ(parse_metric(other).name, other);
  }
}

TEST_F(UniBench, NumbersBecomeTheLabelsOfTheSet) {
  const UniBenchSet& set = unibench_set("meld");
  const LabelTable table = read_unibench_truths(truths(set, "5", "joy"), set, words_);
  EXPECT_THAT(labels(table, 0), ElementsAre("fear"));
  EXPECT_THAT(labels(table, 1), ElementsAre("joy"));
}

TEST_F(UniBench, AnOpenTruthWithoutLabelsIsNeutral) {
  const UniBenchSet& set = unibench_set("ovmerdplus");
  EXPECT_THAT(labels(read_unibench_truths(truths(set, "", "glad"), set, words_), 0), ElementsAre("neutral"));
}

TEST_F(UniBench, DialoguesAndSpeakersOfTheTruthsStay) {
  UniBenchSet set = unibench_set("meld");
  set.items = 3;
  const auto file = test::write(folder_.path() / "t.csv", "name,openset,dialogue,speaker\na,3,d1,Ann\nb,joy,d1,Bob\nc,0,d2,\n");
  const LabelTable table = read_unibench_truths(file, set, words_);
  EXPECT_EQ(make_clusters(table, ClusterKind::best).kind, "dialogue");
  EXPECT_THAT(make_clusters(table, ClusterKind::dialogue).numbers, ElementsAre(0, 0, 1));
  EXPECT_THAT(labels(table, 0), ElementsAre("neutral"));
  EXPECT_THAT(labels(table, 2), ElementsAre("anger"));
  expect_error(
      ErrorKind::data, [&] { make_clusters(table, ClusterKind::speaker); }, "1 of 3 truths name no speaker: c");
}

TEST_F(UniBench, APublicLabelFileIsReadAsData) {
  UniBenchSet set = unibench_set("cmumosi");
  set.items = 2;
  const LabelTable valences = read_unibench_truths(test::data_folder() / "eval" / "corpus.npz", set, words_);
  EXPECT_THAT(labels(valences, 0), ElementsAre("0.5"));
  set = unibench_set("meld");
  set.items = 2;
  EXPECT_THAT(labels(read_unibench_truths(test::data_folder() / "eval" / "corpus.npz", set, words_), 0), ElementsAre("neutral"));
}

TEST_F(UniBench, RefusesASplitThatIsNotWhole) {
  const UniBenchSet& set = unibench_set("sims");
  expect_error(
      ErrorKind::data, [&] { read_unibench_truths(truths(set, "1", "-1", 3), set, words_); },
      "there are 454 truths, and the test split of sims has 457", "--metric sentiment-waf");
}

TEST_F(UniBench, RefusesALabelOfAnotherSet) {
  const UniBenchSet& set = unibench_set("iemocapfour");
  expect_error(
      ErrorKind::data, [&] { read_unibench_truths(truths(set, "fear", "sad"), set, words_); },
      "'fear' of 'clip0' is no label of iemocapfour", "happy, sad, neutral, anger");
  expect_error(
      ErrorKind::data, [&] { read_unibench_truths(truths(set, "4", "sad"), set, words_); }, "'4' of 'clip0' is no label");
}

TEST_F(UniBench, RefusesAnEntryWithoutItsMember) {
  UniBenchSet set = unibench_set("meld");
  set.corpus = "name2reason";
  expect_error(
      ErrorKind::data, [&] { read_unibench_truths(test::data_folder() / "eval" / "answers.npz", set, words_); },
      "'a' of name2reason has no 'emo'", "answers.npz");
}

TEST_F(UniBench, RefusesASetThatThereIsNot) {
  expect_error(
      ErrorKind::config, [] { unibench_set("mer2022"); }, "MER-UniBench has no set 'mer2022'", "did you mean mer2023?");
}

}  // namespace
}  // namespace microemo::eval
