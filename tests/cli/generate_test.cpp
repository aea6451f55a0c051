#include <sys/stat.h>

#include "cli/checkpoint_commands.h"
#include "microemo/base/error.h"
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
  /// The same tokenizer beside the small models.
  std::string model_tokenizer() const {
    const auto file = place.path() / "model" / "tokenizer.model";
    return std::filesystem::exists(file) ? file.string() : model_with_tokenizer() + "/tokenizer.model";
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

TEST_F(GenerateCommand, DrawsTheSameTextFromTheSameSeedAlone) {
  const std::string folder = model_with_tokenizer();
  const auto text = [&](const char* seed) {
    return json({"generate", folder, "you came", "--max-new-tokens", "12", "--temperature", "1.5", "--seed", seed}).at("ids");
  };
  EXPECT_EQ(text("1"), text("1"));
  EXPECT_NE(text("1"), text("2"));
}

TEST_F(GenerateCommand, RefusesSeedsThatDoNotFit) {
  for (const char* seed : {"-1", "1.5", "9223372036854775808", "18446744073709551616"}) {
    const test::CommandResult result = microemo({"generate", model("llama"), "--ids", "5", "--temperature", "1", "--seed", seed});
    EXPECT_EQ(result.exit_code, exit_code(ErrorKind::config)) << seed;
    EXPECT_THAT(result.standard_error, HasSubstr("whole number from 0 to 9223372036854775807"));
  }
}

TEST_F(GenerateCommand, RefusesIdsThatAreNoNumbers) {
  for (const char* ids : {"5,-1", "5,x", "", "99999999999999999999"}) {
    const test::CommandResult result = microemo({"generate", model("llama"), "--ids", ids});
    EXPECT_EQ(result.exit_code, exit_code(ErrorKind::config)) << ids;
    EXPECT_THAT(result.standard_error, HasSubstr("is not a whole number from 0 to"));
  }
}

TEST_F(GenerateCommand, EndsAtAStopText) {
  const std::string folder = model_with_tokenizer();
  const std::string whole = json({"generate", folder, "you came", "--max-new-tokens", "12"}).at("text");
  ASSERT_GT(whole.size(), 4u);
  const std::string stop = whole.substr(2, 2);
  const Json cut = json({"generate", folder, "you came", "--max-new-tokens", "12", "--stop", "never there", "--stop", stop});
  EXPECT_EQ(cut.at("text"), whole.substr(0, whole.find(stop)));
  EXPECT_EQ(cut.at("end"), "ended by --stop");
}

TEST_F(GenerateCommand, ContinuesPromptsOfAFileAsEachAlone) {
  const auto file = place.path() / "prompts.jsonl";
  write_file_atomic(file, "{\"id\": \"one\", \"ids\": [5, 9]}\n{\"ids\": [7]}\n{\"ids\": [5, 9, 41, 8, 30]}\n");
  std::vector<std::string> outputs;
  for (const char* batch : {"1", "2", "16"}) {
    const test::CommandResult lines = microemo({"generate", model("llama"), "--prompts", file, "--tokenizer", model_tokenizer(),
                                                "--max-new-tokens", "9", "--batch", batch});
    ASSERT_EQ(lines.exit_code, 0) << lines.standard_error;
    outputs.push_back(lines.standard_output);
  }
  EXPECT_EQ(outputs[0], outputs[1]);
  EXPECT_EQ(outputs[0], outputs[2]);
  const Json first = parse_json(outputs[0].substr(0, outputs[0].find('\n')), "standard output");
  EXPECT_EQ(first.at("id"), "one");
  EXPECT_EQ(
      first.at("ids"),
      json({"generate", model("llama"), "--ids", "5,9", "--tokenizer", model_tokenizer(), "--max-new-tokens", "9"}).at("ids"));
}

TEST_F(GenerateCommand, TalksInTurns) {
  const std::string folder = model_with_tokenizer();
  const auto turns = place.path() / "turns.json";
  write_file_atomic(turns, R"(["you came", "at last"])");
  const Json replies = json({"generate", folder, "--chat", "vicuna", "--turns", turns, "--max-new-tokens", "6"});
  ASSERT_EQ(replies.size(), 2u);
  EXPECT_EQ(replies[1].at("user"), "at last");
  EXPECT_EQ(replies[0].at("reused_tokens"), 0);
  EXPECT_GE(replies[1].at("reused_tokens"), replies[0].at("prompt_tokens"));
  test::CommandOptions options;
  options.standard_input = "you came\n\nat last\n";
  const test::CommandResult spoken =
      test::run_command({MICROEMO_BINARY, "generate", folder, "--chat", "vicuna", "--max-new-tokens", "6"}, options);
  EXPECT_EQ(spoken.exit_code, 0) << spoken.standard_error;
  EXPECT_EQ(spoken.standard_output,
            replies[0].at("answer").get<std::string>() + "\n" + replies[1].at("answer").get<std::string>() + "\n");
}

TEST_F(GenerateCommand, EndsByASignalWhileItWaitsForTheNextTurn) {
  const std::string folder = model_with_tokenizer();
  const auto said = place.path() / "said", shown = place.path() / "shown";
  ASSERT_EQ(::mkfifo(said.c_str(), 0600), 0);
  const int speaker = ::open(said.c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(::write(speaker, "you came\n", 9), 9);
  const std::string words = fmt::format("exec {} generate {} --chat vicuna --max-new-tokens 4 <{} >{}", MICROEMO_BINARY, folder,
                                        said.string(), shown.string());
  const int code = test::interrupt_command({"/bin/sh", "-c", words}, SIGINT,
                                           [&] { return std::filesystem::exists(shown) && read_file(shown).ends_with("\n"); });
  ::close(speaker);
  EXPECT_EQ(code, exit_code_resumable);
}

TEST_F(GenerateCommand, RefusesSamplingAndConversationsThatMakeNoSense) {
  const auto refused = [&](std::vector<std::string> more, int code, const std::string& part) {
    std::vector<std::string> words{"generate", model("llama")};
    words.insert(words.end(), more.begin(), more.end());
    const test::CommandResult result = microemo(words);
    EXPECT_EQ(result.exit_code, code) << result.standard_error;
    EXPECT_THAT(result.standard_error, HasSubstr(part));
    EXPECT_EQ(result.standard_output, "");
  };
  refused({"--ids", "5", "--temperature", "-1"}, 2, "temperature is -1");
  refused({"--ids", "5", "--temperature", "nan"}, 2, "temperature is nan");
  refused({"--ids", "5", "--temperature", "1", "--top-p", "0"}, 2, "top_p is 0");
  refused({"--ids", "5", "--temperature", "1", "--top-p", "1.5"}, 2, "top_p is 1.5");
  refused({"--ids", "5", "--temperature", "1", "--top-k", "-2"}, 2, "top_k is -2");
  refused({"--ids", "5", "--repetition-penalty", "0"}, 2, "repetition_penalty is 0");
  refused({"--ids", "5", "--top-p", "0.5"}, 2, "--top-p has no effect without --temperature above 0");
  refused({"text", "--stop", ""}, 2, "a text that ends answers is empty");
  refused({"--ids", "5", "--stop", "x"}, 2, "--stop is text");
  refused({"--ids", "5", "--turns", "t.json"}, 2, "--turns has no effect without --chat");
  refused({"--ids", "5", "--beginning", "b"}, 2, "--beginning has no effect without --prompts");
  refused({"--ids", "5", "--chat", "vicuna"}, 2, "give either TEXT or --ids");
  refused({"--chat", "gemma"}, 2, "there is no chat style 'gemma'");
  refused({"--chat", "{user}"}, 2, "needs {user} once");
}

TEST_F(GenerateCommand, RefusesFilesOfPromptsAndTurnsThatAreNone) {
  const std::string folder = model_with_tokenizer();
  const auto refused = [&](const char* option, const std::string& content, const std::string& part) {
    const auto file = place.path() / "given";
    write_file_atomic(file, content);
    std::vector<std::string> words{"generate", folder, option, file};
    if (option == std::string("--turns")) words.insert(words.end(), {"--chat", "vicuna"});
    const test::CommandResult result = microemo(words);
    EXPECT_EQ(result.exit_code, 3) << result.standard_error;
    EXPECT_THAT(result.standard_error, HasSubstr(part));
    EXPECT_EQ(result.standard_output, "");
  };
  refused("--prompts", "{\"text\": \"a\"}\n[1]\n", "a prompt is no object");
  refused("--prompts", "{\"text\": \"a\", \"ids\": [1]}\n", "either \"text\" or \"ids\"");
  refused("--prompts", "{\"id\": \"x\"}\n", "either \"text\" or \"ids\"");
  refused("--prompts", "{\"id\": \"2\", \"text\": \"a\"}\n{\"text\": \"b\"}\n", "two prompts '2'");
  refused("--prompts", "{\"ids\": []}\n", "the prompt '1' is empty");
  refused("--prompts", "{\"ids\": [5000]}\n", "token 5000");
  refused("--turns", "[]", "the turns are no list of texts");
  refused("--turns", "[\"a\", 5]", "the turns are no list of texts");
  refused("--turns", "{\"a\": \"b\"}", "the turns are no list of texts");
  refused("--turns", "[\"you</s>\"]", "the name of a special token");
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
  expect_check_finite({"generate", "", "--ids", "1,2", "--max-new-tokens", "1"}, "qwen2");
}

}  // namespace
}  // namespace microemo
