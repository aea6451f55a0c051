#include "microemo/infer/evaluate.h"

#include <cmath>

#include "microemo/base/workers.h"
#include "support/errors.h"
#include "tiny_model.h"

namespace microemo::infer {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

data::Utterance labelled(const std::vector<std::string>& labels) {
  data::Utterance utterance = test::spoken(0, 1, "words");
  utterance.labels = labels;
  return utterance;
}

data::Clip clip(const std::string& id, std::vector<data::Utterance> utterances) {
  data::Clip clip;
  clip.id = id;
  clip.utterances = std::move(utterances);
  return clip;
}

AnswerRecord said(const std::string& clip, int64_t utterance, const std::string& answer) {
  AnswerRecord record;
  record.clip = clip;
  record.utterance = utterance;
  record.answer = answer;
  return record;
}

eval::EmotionWheel own_wheel() {
  return eval::load_wheel(std::filesystem::path(MICROEMO_SOURCE_DIR) / "data/wheels/microemo.csv");
}

struct AnswerDataset : ::testing::Test {
  test::TinyModel tiny;
  TemporaryFolder place;
  std::vector<data::Sample> samples = {tiny.clip(1, 4, {test::spoken(0, 0.3, "the"), test::spoken(0.3, 0.7, "person")}),
                                       tiny.clip(2, 5, {test::spoken(0, 0.9, "feel")}),
                                       tiny.clip(3, 4, {test::spoken(0, 0.5, "does")})};
  GenerateOptions options{.max_new_tokens = 5, .batch_clips = 2};

  ~AnswerDataset() override { clear_stop_request(); }
  AnswerLog log(const std::string& name) const { return AnswerLog(place.path() / name, {}); }
  bool ask(AnswerLog& log) const { return answer_dataset(*tiny.model, *tiny.builder, samples, options, log); }
  static std::vector<Json> as_json(const AnswerLog& log) {
    std::vector<Json> lines;
    for (const AnswerRecord& record : log.records()) lines.push_back(to_json(record));
    return lines;
  }
};

TEST_F(AnswerDataset, AsksAboutEveryUtteranceInTheOrderOfTheManifest) {
  AnswerLog answers = log("all");
  EXPECT_TRUE(ask(answers));
  std::vector<std::string> asked;
  for (const AnswerRecord& record : answers.records()) asked.push_back(eval::utterance_id(record.clip, record.utterance));
  EXPECT_THAT(asked, ElementsAre("clip1/0", "clip1/1", "clip2/0", "clip3/0"));
  EXPECT_EQ(answers.records()[1].start_s, 0.3);
  EXPECT_EQ(answers.records()[1].question, "What does the person feel from 0.3 to 0.7 seconds?");
}

TEST_F(AnswerDataset, KeepsAnswersThatAreThere) {
  AnswerLog answers = log("some");
  answers.append({said("clip1", 1, "kept")});
  EXPECT_TRUE(ask(answers));
  ASSERT_EQ(answers.records().size(), 4u);
  EXPECT_EQ(answers.records()[0].answer, "kept");
}

TEST_F(AnswerDataset, AsksNothingWhenAllIsThere) {
  AnswerLog answers = log("all");
  ask(answers);
  const std::vector<Json> before = as_json(answers);
  EXPECT_TRUE(ask(answers));
  EXPECT_EQ(as_json(answers), before);
}

TEST_F(AnswerDataset, StopsWhenAskedToAndSaysThatItIsNotDone) {
  AnswerLog answers = log("stopped");
  request_stop();
  EXPECT_FALSE(ask(answers));
  EXPECT_THAT(answers.records(), IsEmpty());
}

TEST_F(AnswerDataset, GivesTheSameAnswersWhenItWasInterrupted) {
  AnswerLog whole = log("whole"), parts = log("parts");
  ask(whole);
  parts.append({whole.records()[0]});
  ask(parts);
  EXPECT_EQ(as_json(parts), as_json(whole));
}

TEST(LabelPairs, TakesTheLabelsOfEachUtteranceAndItsAnswer) {
  const auto pairs = label_pairs({clip("a", {labelled({"sad"}), labelled({"calm", "bored"})})},
                                 {said("a", 1, "The person feels calm and tired."), said("a", 0, "The person feels happy.")});
  ASSERT_EQ(pairs.size(), 2u);
  EXPECT_EQ(pairs[0].id, "a/0");
  EXPECT_EQ(pairs[0].clip, "a");
  EXPECT_THAT(pairs[0].predicted, ElementsAre("happy"));
  EXPECT_THAT(pairs[1].truth, ElementsAre("calm", "bored"));
  EXPECT_THAT(pairs[1].predicted, ElementsAre("calm", "tired"));
}

TEST(LabelPairs, GathersTheAnswersOfAClipWhoseOwnLabelsAreKnown) {
  data::Clip whole = clip("a", {labelled({}), labelled({})});
  whole.labels = {"sad"};
  const auto pairs =
      label_pairs({whole}, {said("a", 0, "The person feels sad."), said("a", 1, "The person feels sad and hurt.")});
  ASSERT_EQ(pairs.size(), 1u);
  EXPECT_EQ(pairs[0].id, "a");
  EXPECT_THAT(pairs[0].predicted, ElementsAre("sad", "hurt"));
}

TEST(LabelPairs, LeavesUtterancesWithoutLabelsOut) {
  EXPECT_EQ(label_pairs({clip("a", {labelled({}), labelled({"sad"})})}, {said("a", 0, "sad"), said("a", 1, "sad")}).size(), 1u);
  EXPECT_THAT(label_pairs({clip("a", {labelled({})})}, {said("a", 0, "sad")}), IsEmpty());
}

TEST(LabelPairs, RefusesAnUtteranceWithoutAnAnswer) {
  test::expect_error(
      ErrorKind::data, [] { label_pairs({clip("a", {labelled({"sad"})})}, {said("b", 0, "sad")}); },
      "no answer about utterance 0 of clip 'a'");
}

data::Utterance synthetic(const std::string& words, const std::string& voice, const std::string& face, const std::string& label) {
  data::Utterance utterance = labelled({label});
  utterance.words = words;
  utterance.voice = voice;
  utterance.face = face;
  utterance.answer =
      "The words are " + words + ", the voice is " + voice + ", the face shows " + face + ": the person feels " + label + ".";
  return utterance;
}

struct Breakdowns : ::testing::Test {
  std::vector<data::Clip> clips = {
      clip("a", {synthetic("positive", "flat", "lid", "sad"), synthetic("negative", "flat", "nose", "calm")})};
  Breakdown of(const std::string& first, const std::string& second) const {
    return break_down(clips, {said("a", 0, first), said("a", 1, second)}, own_wheel());
  }
  std::string right(size_t utterance) const { return clips[0].utterances[utterance].answer; }
};

TEST_F(Breakdowns, CountsACluePerClassOfItsChannel) {
  const Breakdown breakdown =
      of(right(0), "The words are negative, the voice is lively, the face shows lid: the person feels calm.");
  EXPECT_EQ(breakdown.at("words").at("positive").accuracy, 1.0);
  EXPECT_EQ(breakdown.at("words").at("negative").accuracy, 1.0);
  EXPECT_EQ(breakdown.at("voice").at("flat").accuracy, 0.5);
  EXPECT_EQ(breakdown.at("voice").at("flat").pairs, 2);
  EXPECT_EQ(breakdown.at("face").at("lid").accuracy, 1.0);
  EXPECT_EQ(breakdown.at("face").at("nose").accuracy, 0.0);
}

TEST_F(Breakdowns, AveragesTheScoresOfAClass) {
  const Breakdown breakdown = of("The person feels angry.", right(1));
  EXPECT_EQ(breakdown.at("voice").at("flat").pair_f, 0.5);
  EXPECT_EQ(breakdown.at("face").at("nose").pair_f, 1.0);
}

TEST_F(Breakdowns, TakesAnAnswerWithoutCluesAsWrong) {
  EXPECT_EQ(of("The person feels sad.", right(1)).at("face").at("lid").accuracy, 0.0);
}

TEST_F(Breakdowns, TakesAnAnswerWithTooFewCluesAsWrong) {
  EXPECT_EQ(of("The words are positive: the person feels sad.", right(1)).at("words").at("positive").accuracy, 0.0);
}

TEST_F(Breakdowns, KnowsNoAccuracyWhereTheTrueAnswersNameNoClues) {
  clips[0].utterances[0].answer = clips[0].utterances[1].answer = "";
  const Breakdown breakdown = of("The person feels sad.", "The person feels calm.");
  EXPECT_EQ(breakdown.at("face").at("lid").accuracy, std::nullopt);
  EXPECT_FALSE(to_json(breakdown)["face"].contains("accuracy"));
}

TEST_F(Breakdowns, ScoresEachIdentity) {
  clips[0].identity = "solvay4";
  EXPECT_EQ(of(right(0), "The person feels angry.").at("identity").at("solvay4").pair_f, 0.5);
}

TEST_F(Breakdowns, HasNoChannelThatTheManifestDoesNotKnow) {
  EXPECT_TRUE(break_down({clip("a", {labelled({"sad"})})}, {said("a", 0, "sad")}, own_wheel()).empty());
}

TEST_F(Breakdowns, RefusesAnAnswerAboutAnotherClip) {
  test::expect_error(
      ErrorKind::internal, [&] { break_down(clips, {said("b", 0, "")}, own_wheel()); }, "clip 'b'");
}

TEST(BestFixedLabels, TakesTheMostFrequentLabel) {
  EXPECT_THAT(best_fixed_labels({clip("a", {labelled({"sad"}), labelled({"sad"}), labelled({"calm"})})}, own_wheel()),
              ElementsAre("sad"));
}

TEST(BestFixedLabels, AddsALabelWhileItHelps) {
  EXPECT_THAT(best_fixed_labels({clip("a", {labelled({"sad", "calm"}), labelled({"sad"}), labelled({"calm"})})}, own_wheel()),
              ElementsAre("calm", "sad"));
}

TEST(BestFixedLabels, TakesSynonymsForOneLabel) {
  const std::vector<std::string> labels = best_fixed_labels(
      {clip("a", {labelled({"happy"}), labelled({"joyful"}), labelled({"calm"}), labelled({"tired"})})}, own_wheel());
  EXPECT_THAT(labels, ElementsAre("happy"));
}

TEST(BestFixedLabels, RefusesLabelsThatTheWheelDoesNotKnow) {
  test::expect_error(
      ErrorKind::data, [] { best_fixed_labels({clip("a", {labelled({"zzz"})})}, own_wheel()); }, "no utterance has a label");
}

TEST(BestFixedLabels, ArePredictedForEveryPair) {
  const auto pairs = with_fixed_labels({{"a/0", "a", {"sad"}, {"angry"}}, {"a/1", "a", {"calm"}, {}}}, {"calm"});
  EXPECT_THAT(pairs[0].predicted, ElementsAre("calm"));
  EXPECT_THAT(pairs[1].predicted, ElementsAre("calm"));
  EXPECT_THAT(pairs[0].truth, ElementsAre("sad"));
}

}  // namespace
}  // namespace microemo::infer
