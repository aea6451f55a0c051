#include "cli/checkpoint_commands.h"
#include "microemo/base/json.h"

namespace microemo {
namespace {

using ::testing::HasSubstr;

struct GenerateCommand : test::CheckpointCommand {
  /// The folder of a small model with a tokenizer whose ids are all in its table.
  std::string model_with_tokenizer() const {
    const auto folder = place.path() / "model";
    std::filesystem::copy(models / "llama", folder);
    const test::CommandResult made =
        microemo({"tokenize", "--train", manifest(), "--out", folder / "tokenizer.model", "--vocabulary", "90", "--no-bytes"});
    EXPECT_EQ(made.exit_code, 0) << made.standard_error;
    return folder;
  }
  std::string manifest() const {
    const auto file = place.path() / "m.jsonl";
    std::string lines;
    for (int i = 0; i < 30; ++i)
      lines += R"({"id": ")" + std::to_string(i) +
               R"(", "utterances": [{"start_s": 0, "end_s": 1, "text": "you came at last", "labels": ["calm"]}]})" + "\n";
    write_file_atomic(file, lines);
    return file;
  }
};

TEST_F(GenerateCommand, WritesTheTokensOfTransformers) {
  const Json line = read_json(models / "generated.json").at(2);
  ASSERT_EQ(line.at("model"), "llama");
  std::string prompt;
  for (const int64_t id : line.at("prompt").get<std::vector<int64_t>>())
    prompt += (prompt.empty() ? "" : ",") + std::to_string(id);
  const Json result = json({"generate", model("llama"), "--ids", prompt, "--max-new-tokens", "60"});
  EXPECT_EQ(result.at("ids"), line.at("ids"));
  EXPECT_EQ(result.at("prompt_ids"), line.at("prompt"));
  EXPECT_EQ(result.at("end"), "cut at --max-new-tokens");
  EXPECT_FALSE(result.contains("text"));
}

TEST_F(GenerateCommand, WritesTextAndSaysHowFast) {
  const std::string folder = model_with_tokenizer();
  const test::CommandResult result = microemo({"generate", folder, "you came", "--max-new-tokens", "8"});
  EXPECT_EQ(result.exit_code, 0) << result.standard_error;
  EXPECT_TRUE(result.standard_output.ends_with("\n"));
  EXPECT_THAT(result.standard_error, HasSubstr("tokens/s"));
  const Json as_json = json({"generate", folder, "you came", "--max-new-tokens", "8"});
  EXPECT_EQ(as_json.at("text").get<std::string>() + "\n", result.standard_output);
}

TEST_F(GenerateCommand, StreamsIdsWhereIdsAreGiven) {
  const test::CommandResult result = microemo({"generate", model("qwen2"), "--ids", "5,9", "--max-new-tokens", "3"});
  EXPECT_EQ(result.exit_code, 0) << result.standard_error;
  std::istringstream stream(result.standard_output);
  int64_t id = 0, count = 0;
  while (stream >> id) ++count;
  EXPECT_EQ(count, 3);
}

TEST_F(GenerateCommand, RefusesWhatItCannotUse) {
  const auto refused = [&](const std::vector<std::string>& words, int code, const std::string& part) {
    const test::CommandResult result = microemo(words);
    EXPECT_EQ(result.exit_code, code) << result.standard_error;
    EXPECT_THAT(result.standard_error, HasSubstr(part));
    EXPECT_EQ(result.standard_output, "");
  };
  refused({"generate", model("llama")}, 2, "give either TEXT or --ids");
  refused({"generate", model("llama"), "text", "--ids", "5"}, 2, "give either TEXT or --ids");
  refused({"generate", model("llama"), "text"}, 3, "tokenizer");
  refused({"generate", model("llama"), "--ids", "5,96"}, 3, "not in the model's table of 96");
  refused({"generate", place.path() / "absent", "--ids", "5"}, 4, "absent");
  refused({"generate", model("llama"), "--ids", "5", "--max-tokens", "-1"}, 2, "--max-tokens");
}

TEST_F(GenerateCommand, CheckFiniteRefusesANan) {
  const std::string nan = model_with_nan("qwen2");
  std::vector<std::string> words{"generate", nan, "--ids", "1,2", "--max-new-tokens", "1"};
  EXPECT_THAT(microemo(words).standard_error, testing::Not(HasSubstr("no finite numbers")));
  words.push_back("--check-finite");
  const test::CommandResult refused = microemo(words);
  EXPECT_EQ(refused.exit_code, 4);
  EXPECT_THAT(refused.standard_error, HasSubstr("1 of 26 tensors hold values that are no finite numbers"));
  EXPECT_THAT(refused.standard_error, HasSubstr("1 NaN, 0 infinite of "));
  EXPECT_THAT(refused.standard_output, testing::IsEmpty());
  words[1] = model("qwen2");
  EXPECT_EQ(microemo(words).exit_code, 0);
}

}  // namespace
}  // namespace microemo
