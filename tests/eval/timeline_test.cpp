#include "microemo/eval/timeline.h"

#include <cmath>

#include "formats/support.h"

namespace microemo::eval {
namespace {

using test::expect_error;

const Grouping plain{"plain", {{"a", "A"}, {"b", "B"}, {"aa", "A"}}};

TEST(Timelines, ARightAnswerNeedNotBeCutAsTheTruth) {
  const TimelineScore score = score_timeline({{0, 2, {"a"}}}, {{0, 0.5, {"aa"}}, {0.5, 3, {"a"}}}, plain);
  EXPECT_EQ(score.f, 1);
  EXPECT_EQ(score.labelled_s, 2);
  EXPECT_EQ(score.idle_s, 1);
}

TEST(Timelines, WeighByTime) {
  const TimelineScore score = score_timeline({{0, 1, {"a"}}, {1, 4, {"b"}}}, {{0, 4, {"a"}}}, plain);
  EXPECT_DOUBLE_EQ(score.f, 0.25);
  EXPECT_DOUBLE_EQ(score.precision, 0.25);
}

TEST(Timelines, SegmentsThatOverlapAddTheirLabels) {
  const TimelineScore score = score_timeline({{0, 2, {"a"}}, {1, 2, {"b"}}}, {{0, 2, {"a"}}}, plain);
  EXPECT_DOUBLE_EQ(score.recall, 0.75);
  EXPECT_DOUBLE_EQ(score.f, (1 + 2.0 / 3) / 2);
}

TEST(Timelines, TimeWithoutAPredictionCountsAsZero) {
  const TimelineScore score = score_timeline({{0, 4, {"a"}}}, {{0, 1, {"a"}}, {1, 2, {"unknown"}}}, plain);
  EXPECT_DOUBLE_EQ(score.precision, 0.25);
  EXPECT_DOUBLE_EQ(score.covered_s, 1);
}

TEST(Timelines, WithoutATrueClassThereIsNoNumber) {
  EXPECT_TRUE(std::isnan(score_timeline({{0, 1, {"neutral"}}}, {{0, 1, {"a"}}}, plain).f));
}

TEST(Timelines, OfSeveralClipsWeighByTheirTime) {
  EXPECT_DOUBLE_EQ(
      score_timelines({{"x", {{0, 3, {"a"}}}}, {"y", {{0, 1, {"b"}}}}}, {{"x", {{0, 3, {"a"}}}}, {"y", {}}}, plain).f, 0.75);
}

TEST(Timelines, RefuseClipsThatOneSideLacks) {
  expect_error(
      ErrorKind::data,
      [] {
        score_timelines({{"x", {}}, {"y", {}}}, {{"y", {}}, {"z", {}}}, plain);
      },
      "2 clips have a truth or a prediction, not both: x, z");
}

class TimelineFiles : public testing::Test {
 protected:
  void expect_refused(const std::string& line, const std::string& reason) const {
    expect_error(
        ErrorKind::data, [&] { read_timelines(test::write(folder_.path() / "t.jsonl", line)); }, reason, "t.jsonl");
  }
  TemporaryFolder folder_;
};

TEST_F(TimelineFiles, AreManifestsAndAnswers) {
  const TimelineFile file = read_timelines(test::write(
      folder_.path() / "t.jsonl",
      R"({"id":"x","split":"test","utterances":[{"start_s":0,"end_s":1.5,"labels":["a"],"extractor":"m"},{"start_s":2,"end_s":3,"answer":"She feels sad."}]})"));
  EXPECT_EQ(file.clips.at("x")[1].labels, std::vector<std::string>{"sad"});
  EXPECT_EQ(file.clips.at("x")[0].end_s, 1.5);
  EXPECT_EQ(file.extractors, (LabelNames{"m", "rules-1"}));
  EXPECT_EQ(file.splits, LabelNames{"test"});
}

TEST_F(TimelineFiles, AreTheAnswersOfAnEvaluation) {
  const std::string first = R"({"clip":"x","utterance":0,"start_s":0,"end_s":1.5,"answer":"She feels sad."})";
  const TimelineFile file = read_timelines(test::write(
      folder_.path() / "answers.jsonl", first + "\n" + R"({"clip":"y","utterance":0,"start_s":0,"end_s":1,"answer":"[happy]"})" +
                                            "\n" + R"({"clip":"x","utterance":1,"start_s":2,"end_s":3,"answer":"[angry]"})"));
  EXPECT_EQ(file.clips.at("x").size(), 2u);
  EXPECT_EQ(file.clips.at("x")[1].labels, std::vector<std::string>{"angry"});
  EXPECT_EQ(file.clips.at("y")[0].end_s, 1);
  EXPECT_EQ(file.extractors, LabelNames{"rules-1"});
  expect_refused(first + "\n" + first, "utterance 0 of clip 'x' stands a second time");
}

TEST_F(TimelineFiles, RefuseTimesThatAreNone) {
  expect_refused(R"({"id":"x","utterances":[{"start_s":1,"end_s":1,"labels":[]}]})", "lasts from 1 s to 1 s");
  expect_refused(R"({"id":"x","utterances":[{"start_s":-1,"end_s":1,"labels":[]}]})", "lasts from -1 s to 1 s");
  expect_refused(R"({"id":"x","utterances":[{"start_s":"0","end_s":1,"labels":[]}]})", "'start_s' is \"0\"");
  expect_refused(R"({"id":"x","utterances":[{"end_s":1,"labels":[]}]})", "the key 'start_s' is missing");
}

TEST_F(TimelineFiles, RefuseWhatHasNoUtterancesOrLabels) {
  expect_refused(R"({"id":"x","labels":[]})", "the key 'utterances' is missing");
  expect_refused(R"({"id":"x","utterances":[{"start_s":0,"end_s":1}]})", "the key 'answer' is missing");
  expect_refused("\n", "holds no clips");
}

TEST_F(TimelineFiles, RefuseAnIdTwice) {
  expect_refused("{\"id\":\"x\",\"utterances\":[]}\n{\"id\":\"x\",\"utterances\":[]}\n", "'x' stands a second time");
}

}  // namespace
}  // namespace microemo::eval
