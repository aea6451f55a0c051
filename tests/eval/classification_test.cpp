#include "microemo/eval/classification.h"

#include <cmath>

#include "formats/support.h"
#include "microemo/base/json.h"
#include "microemo/eval/metrics.h"

namespace microemo::eval {
namespace {

using test::expect_error;
using testing::ElementsAre;

class SingleLabels : public testing::Test {
 protected:
  LabelFiles files(const std::string& predictions, const std::string& truths, LabelContent content = LabelContent::labels) const {
    return read_label_files(test::write(folder_.path() / "p.csv", "name,openset\n" + predictions),
                            test::write(folder_.path() / "t.csv", "name,openset\n" + truths), content);
  }
  static ClassPairs classes(const LabelFiles& files) {
    return pair_classes(files.predictions, files.truths, files.match, files.words);
  }
  ClassPairs sentiment(const std::string& predictions, const std::string& truths) const {
    const LabelFiles read = files(predictions, truths, LabelContent::sentiment);
    return pair_sentiment(read.predictions, read.truths, read.match, read.words);
  }
  TemporaryFolder folder_;
};

TEST_F(SingleLabels, ScoreAsScikitLearnScoresThem) {
  const Json expected = read_json(test::data_folder() / "eval" / "scores.json").at("single");
  std::string predictions, truths;
  for (size_t i = 0; i < expected.at("truth").size(); ++i) {
    truths += fmt::format("{},{}\n", i, expected.at("truth")[i].get<std::string>());
    predictions += fmt::format("{},{}\n", i, expected.at("predicted")[i].get<std::string>());
  }
  const ClassMeans means = mean_classes(score_classes(classes(files(predictions, truths))));
  EXPECT_EQ(means.n, 400);
  EXPECT_NEAR(means.war, expected.at("war").get<double>(), 1e-15);
  EXPECT_NEAR(means.uar, expected.at("uar").get<double>(), 1e-15);
  EXPECT_NEAR(means.waf, expected.at("waf").get<double>(), 1e-15);
}

TEST_F(SingleLabels, AreSpelledAlike) {
  const ClassPairs pairs = classes(files("a, Happy \nb,SAD\n", "a,happy\nb,sad\n"));
  EXPECT_THAT(pairs.classes, ElementsAre("happy", "sad"));
  EXPECT_EQ(pairs.truth, pairs.predicted);
}

TEST_F(SingleLabels, NoLabelAndForeignLabelsAreWrongAndCounted) {
  const ClassPairs pairs = classes(files("a,\nb,awe\nc,\"happy, sad\"\n", "a,happy\nb,sad\nc,happy\n"));
  EXPECT_THAT(pairs.predicted, ElementsAre(-1, -1, 0));
  EXPECT_EQ(pairs.without_label, 1);
  EXPECT_EQ(pairs.several_labels, 1);
  EXPECT_EQ(pairs.unknown, (std::map<std::string, int64_t>{{"awe", 1}}));
  EXPECT_THAT(confusion_of(pairs), ElementsAre(ElementsAre(1, 0, 1), ElementsAre(0, 0, 1)));
}

TEST_F(SingleLabels, RefuseTruthsOfNoneOrSeveral) {
  expect_error(
      ErrorKind::data, [&] { classes(files("a,x\nb,x\nc,x\n", "a,x\nb,\nc,\"x, y\"\n")); },
      "2 of 3 truths have not exactly one label: b, c", "t.csv");
}

TEST_F(SingleLabels, WithoutItemsThereIsNoNumber) {
  const ClassMeans means = mean_classes({});
  EXPECT_TRUE(std::isnan(means.war) && std::isnan(means.uar) && std::isnan(means.waf));
}

TEST_F(SingleLabels, SentimentIsThatOfThePublicExample) {
  const ClassPairs pairs =
      sentiment("1,positive\n2,neutral\n3,positive\n4,negative\n5,negative\n6,mixed\n7,positive\n8,positive\n",
                "1,1.2\n2,-0.4\n3,0\n4,2\n5,-3\n6,0.6\n7,-0.2\n8,0.8\n");
  const ClassMeans means = mean_classes(score_classes(pairs));
  EXPECT_EQ(means.n, 7);
  EXPECT_DOUBLE_EQ(means.war, 0.5714285714285714);
  EXPECT_DOUBLE_EQ(means.waf, 0.5714285714285714);
  EXPECT_EQ(pairs.unknown, (std::map<std::string, int64_t>{{"mixed", 1}}));
}

TEST_F(SingleLabels, OnlyTheVeryWordIsPositive) {
  const ClassPairs pairs = sentiment("a,Positive\nb,\"positive, negative\"\nc,positive\nd,\n", "a,1\nb,1\nc,+1\nd,1e-9\n");
  EXPECT_THAT(pairs.predicted, ElementsAre(0, 0, 1, 0));
}

TEST_F(SingleLabels, ATruthOfSentimentMayBeAWord) {
  EXPECT_THAT(sentiment("a,positive\nb,positive\nc,positive\n", "a,positive\nb,negative\nc,neutral\n").truth,
              ElementsAre(1, 0, -1));
}

TEST_F(SingleLabels, RefuseValencesThatAreNone) {
  for (const char* valence : {"happy", "1.2.3", "inf", "Negative", "1 0"})
    expect_error(
        ErrorKind::data, [&] { sentiment("a,positive\n", fmt::format("a,{}\n", valence)); },
        fmt::format("'{}' is neither a number nor", valence), "t.csv, line 2");
}

}  // namespace
}  // namespace microemo::eval
