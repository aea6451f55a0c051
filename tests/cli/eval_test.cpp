#include <fstream>

#include "microemo/base/files.h"
#include "support/command.h"
#include "support/errors.h"
#include "tiny_run.h"

namespace microemo {
namespace {

using ::testing::HasSubstr;

int64_t lines_of(const std::filesystem::path& file) {
  const std::string text = read_file(file);
  return std::count(text.begin(), text.end(), '\n');
}

struct EvalCommand : ::testing::Test {
  inline static test::TinyRun* tiny = nullptr;
  TemporaryFolder place;
  std::filesystem::path out = place.path() / "evaluation";

  static void SetUpTestSuite() { tiny = new test::TinyRun; }
  static void TearDownTestSuite() { delete tiny; }

  test::CommandResult eval(std::vector<std::string> more) const {
    std::vector<std::string> words = {MICROEMO_BINARY, "--quiet", "eval"};
    more.insert(more.end(), {"generate.max_new_tokens=6", "resamples=20"});
    words.insert(words.end(), more.begin(), more.end());
    test::CommandOptions options;
    options.folder = place.path();
    return test::run_command(words, options);
  }
  test::CommandResult eval_run(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> words = {tiny->run, tiny->manifest, "--out", out};
    words.insert(words.end(), more.begin(), more.end());
    return eval(words);
  }
};

TEST_F(EvalCommand, WritesAnswersLabelsAndScores) {
  const test::CommandResult result = eval_run();
  ASSERT_EQ(result.exit_code, 0) << result.standard_error;
  EXPECT_EQ(lines_of(out / "answers.jsonl"), 6);
  EXPECT_EQ(lines_of(out / "labels.jsonl"), 6);
  EXPECT_EQ(lines_of(out / "samples.csv"), 7);
  const Json scores = read_json(out / "scores.json");
  EXPECT_EQ(scores["clips"], 3);
  EXPECT_TRUE(scores["f_score"].is_number());
  EXPECT_EQ(scores["arms"].size(), 2u);
  EXPECT_THAT(result.standard_output, HasSubstr(read_file(out / "table.txt")));
}

TEST_F(EvalCommand, PrintsJsonAlone) {
  const test::CommandResult result = eval_run({"--json"});
  ASSERT_EQ(result.exit_code, 0) << result.standard_error;
  EXPECT_EQ(parse_json(result.standard_output, "standard output"), read_json(out / "scores.json"));
}

TEST_F(EvalCommand, GivesTheSameFilesAgain) {
  eval_run();
  const std::string answers = read_file(out / "answers.jsonl"), scores = read_file(out / "scores.json");
  std::filesystem::remove_all(out);
  eval_run({"generate.batch_clips=1"});
  EXPECT_EQ(read_file(out / "answers.jsonl"), answers);
  EXPECT_EQ(read_file(out / "scores.json"), scores);
}

TEST_F(EvalCommand, KeepsAnswersThatAreThere) {
  ASSERT_EQ(eval_run().exit_code, 0);
  std::string answers = read_file(out / "answers.jsonl");
  const size_t place_of_answer = answers.find("\"answer\":\"") + 10;
  answers.insert(place_of_answer, "kept ");
  write_file_atomic(out / "answers.jsonl", answers);
  ASSERT_EQ(eval_run().exit_code, 0);
  EXPECT_EQ(read_file(out / "answers.jsonl"), answers);
}

TEST_F(EvalCommand, TakesTheClipsOfASplit) {
  ASSERT_EQ(eval_run({"split=train"}).exit_code, 0);
  EXPECT_EQ(read_json(out / "scores.json")["clips"], 1);
}

TEST_F(EvalCommand, WritesIntoTheRunWithoutOut) {
  ASSERT_EQ(eval({tiny->run, tiny->manifest}).exit_code, 0);
  EXPECT_TRUE(std::filesystem::exists(tiny->run / "eval/test-step-00000000/scores.json"));
}

TEST_F(EvalCommand, RefusesTheFolderOfAnotherEvaluation) {
  ASSERT_EQ(eval_run().exit_code, 0);
  const test::CommandResult result = eval_run({"split=train"});
  EXPECT_EQ(result.exit_code, exit_code(ErrorKind::config));
  EXPECT_THAT(result.standard_error, HasSubstr("holds another evaluation"));
}

TEST_F(EvalCommand, RefusesAFolderThatIsNoRun) {
  const test::CommandResult result = eval({place.path(), tiny->manifest});
  EXPECT_EQ(result.exit_code, exit_code(ErrorKind::checkpoint));
  EXPECT_THAT(result.standard_error, HasSubstr(place.path().string()));
}

TEST_F(EvalCommand, RefusesACheckpointThatTheRunDoesNotHave) {
  EXPECT_EQ(eval_run({"--checkpoint", "step-00000999"}).exit_code, exit_code(ErrorKind::checkpoint));
}

TEST_F(EvalCommand, RefusesAMissingManifest) {
  const test::CommandResult result = eval({tiny->run, place.path() / "none.jsonl"});
  EXPECT_EQ(result.exit_code, exit_code(ErrorKind::data));
  EXPECT_THAT(result.standard_error, HasSubstr("none.jsonl"));
}

TEST_F(EvalCommand, RefusesClipsThatAreNotPrepared) {
  const test::CommandResult result = eval_run({"cache=" + (place.path() / "empty").string()});
  EXPECT_EQ(result.exit_code, exit_code(ErrorKind::data));
  EXPECT_THAT(result.standard_error, HasSubstr("microemo prepare"));
  EXPECT_FALSE(std::filesystem::exists(out));
}

TEST_F(EvalCommand, RefusesASplitWithoutClips) {
  const test::CommandResult result = eval_run({"split=valid"});
  EXPECT_EQ(result.exit_code, exit_code(ErrorKind::data));
  EXPECT_THAT(result.standard_error, HasSubstr("no clip of the split 'valid'"));
}

TEST_F(EvalCommand, RefusesAnUnknownKey) {
  const test::CommandResult result = eval_run({"generate.max_tokens=3"});
  EXPECT_EQ(result.exit_code, exit_code(ErrorKind::config));
  EXPECT_THAT(result.standard_error, HasSubstr("generate.max_new_tokens"));
}

TEST_F(EvalCommand, RefusesAWheelThatIsNotThere) {
  const test::CommandResult result = eval_run({"--wheel", place.path() / "wheel.csv"});
  EXPECT_EQ(result.exit_code, exit_code(ErrorKind::data));
  EXPECT_THAT(result.standard_error, HasSubstr("wheel.csv"));
}

}  // namespace
}  // namespace microemo
