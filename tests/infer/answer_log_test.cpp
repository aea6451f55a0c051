#include "microemo/infer/answer_log.h"

#include <fstream>

#include "microemo/base/files.h"
#include "support/errors.h"

namespace microemo::infer {
namespace {

struct Log : ::testing::Test {
  TemporaryFolder place;
  std::filesystem::path folder = place.path() / "evaluation", file = folder / "answers.jsonl";
  Json identity = {{"checkpoint", "abc"}, {"max_new_tokens", 64}};

  static AnswerRecord record(const std::string& clip, const std::string& answer) {
    return {.clip = clip,
            .utterance = 1,
            .start_s = 0.5,
            .end_s = 1.25,
            .question = "What?",
            .answer = answer,
            .log_probability = -1.5,
            .complete = true};
  }
  void add_text(const std::string& text) const { std::ofstream(file, std::ios::app) << text; }
};

TEST_F(Log, HoldsWhatWasAddedWhenItIsOpenedAgain) {
  AnswerLog(folder, identity).append({record("a", "joy\n\"quoted\""), record("b", "")});
  const AnswerLog again(folder, identity);
  ASSERT_EQ(again.records().size(), 2u);
  EXPECT_EQ(to_json(again.records()[0]), to_json(record("a", "joy\n\"quoted\"")));
  EXPECT_EQ(to_json(again.records()[1]), to_json(record("b", "")));
}

TEST_F(Log, RefusesTwoAnswersToOneQuestion) {
  AnswerLog(folder, identity).append({record("a", "joy"), record("b", ""), record("a", "anger")});
  test::expect_error(
      ErrorKind::data, [&] { AnswerLog(folder, identity); }, "two answers about utterance 1 of clip 'a'");
}

TEST_F(Log, IsEmptyInANewFolder) { EXPECT_TRUE(AnswerLog(folder, identity).records().empty()); }

TEST_F(Log, DropsALineThatWasCutOffAndGoesOnBehindTheWholeOnes) {
  AnswerLog(folder, identity).append({record("a", "joy")});
  add_text("{\"clip\":\"b\",\"utter");
  AnswerLog again(folder, identity);
  ASSERT_EQ(again.records().size(), 1u);
  again.append({record("c", "calm")});
  EXPECT_EQ(AnswerLog(folder, identity).records().at(1).clip, "c");
}

TEST_F(Log, DropsAFirstLineThatWasCutOff) {
  { const AnswerLog fresh(folder, identity); }
  add_text("{\"cl");
  EXPECT_TRUE(AnswerLog(folder, identity).records().empty());
}

TEST_F(Log, RefusesTheFolderOfAnotherEvaluation) {
  AnswerLog(folder, identity).append({record("a", "joy")});
  Json other = identity;
  other["max_new_tokens"] = 32;
  test::expect_error(
      ErrorKind::config, [&] { AnswerLog(folder, other); }, "\"max_new_tokens\" is 64 there and 32 now");
}

TEST_F(Log, RefusesAFolderWhoseEvaluationLacksAKey) {
  { const AnswerLog fresh(folder, identity); }
  Json other = identity;
  other["split"] = "test";
  test::expect_error(
      ErrorKind::config, [&] { AnswerLog(folder, other); }, "\"split\" is absent there");
}

TEST_F(Log, RefusesAnswersWithoutTheEvaluationThatTheyAreOf) {
  AnswerLog(folder, identity).append({record("a", "joy")});
  std::filesystem::remove(folder / "evaluation.json");
  test::expect_error(
      ErrorKind::data, [&] { AnswerLog(folder, identity); }, "evaluation.json is missing");
  std::filesystem::remove(file);
  EXPECT_TRUE(AnswerLog(folder, identity).records().empty());
}

TEST_F(Log, RefusesALineThatIsNoJson) {
  { const AnswerLog fresh(folder, identity); }
  add_text("joy\n");
  test::expect_error(
      ErrorKind::data, [&] { AnswerLog(folder, identity); }, "answers.jsonl");
}

TEST_F(Log, RefusesALineWithoutAnAnswer) {
  { const AnswerLog fresh(folder, identity); }
  add_text("{\"clip\":\"a\",\"utterance\":0,\"start_s\":0,\"end_s\":1,\"question\":\"\"}\n");
  test::expect_error(
      ErrorKind::data, [&] { AnswerLog(folder, identity); }, "'answer'");
}

TEST_F(Log, RefusesAFolderThatIsAFile) {
  write_file_atomic(folder, "text");
  test::expect_error(
      ErrorKind::environment, [&] { AnswerLog(folder, identity); }, "evaluation");
}

}  // namespace
}  // namespace microemo::infer
