#include "microemo/base/files.h"
#include "microemo/base/json.h"
#include "support/command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace microemo::cli {
namespace {

using test::CommandResult;
using test::run_command;
using testing::HasSubstr;

class TokenizeCommand : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* video : {"a.mp4", "b.mp4"}) write_file_atomic(root() / video, "");
    write_file_atomic(
        root() / "m.jsonl",
        R"({"id": "a", "video": "a.mp4", "split": "train", "utterances": [{"start_s": 0, "end_s": 1, "text": "What a quizzical day.", "labels": ["happy"]}]})"
        "\n"
        R"({"id": "b", "video": "b.mp4", "split": "test", "utterances": [{"start_s": 0, "end_s": 1, "text": "ÆØÅ", "labels": ["sad"]}]})");
  }
  std::filesystem::path root() const { return folder_.path(); }
  static CommandResult microemo(std::vector<std::string> words) {
    words.insert(words.begin(), {MICROEMO_BINARY, "tokenize"});
    return run_command(words);
  }
  std::string path(const std::string& name) const { return (root() / name).string(); }

 private:
  TemporaryFolder folder_;
};

TEST_F(TokenizeCommand, TrainsAndShowsPiecesThatGiveBackTheText) {
  const CommandResult trained = microemo({"--train", path("m.jsonl"), "--out", path("t.model"), "--json"});
  ASSERT_EQ(trained.exit_code, 0) << trained.standard_error;
  EXPECT_GT(parse_json(trained.standard_output, "output")["pieces"].get<int64_t>(), 260);
  const CommandResult shown = microemo({path("t.model"), "A quizzical ☂ day.", "Yes.", "--json"});
  const Json encodings = parse_json(shown.standard_output, "output");
  ASSERT_EQ(encodings.size(), 2u);
  EXPECT_EQ(encodings[0]["decoded"], "A quizzical ☂ day.");
  EXPECT_EQ(encodings[0]["ids"].size(), encodings[0]["pieces"].size());
}

TEST_F(TokenizeCommand, ShowsOnePieceALine) {
  microemo({"--train", path("m.jsonl"), "--out", path("t.model")});
  const CommandResult shown = microemo({path("t.model"), "day."});
  EXPECT_EQ(shown.exit_code, 0);
  EXPECT_EQ(std::count(shown.standard_output.begin(), shown.standard_output.end(), '\n'),
            int64_t(parse_json(microemo({path("t.model"), "day.", "--json"}).standard_output, "output")[0]["ids"].size()));
}

TEST_F(TokenizeCommand, LeavesTheTestPartAlone) {
  const auto pieces = [&](const std::string& split) {
    microemo({"--train", path("m.jsonl"), "--out", path("t.model"), "--split", split});
    return parse_json(microemo({path("t.model"), "ÆØÅ", "--json"}).standard_output, "output")[0]["pieces"].dump();
  };
  EXPECT_THAT(pieces("train"), HasSubstr("<0x"));
  EXPECT_THAT(pieces("test"), testing::Not(HasSubstr("<0x")));
}

TEST_F(TokenizeCommand, SaysTheLargestVocabularyWhenMoreIsAskedFor) {
  const CommandResult result = microemo({"--train", path("m.jsonl"), "--out", path("t.model"), "--vocabulary", "5000"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.standard_error, HasSubstr("the largest possible is"));
  EXPECT_FALSE(std::filesystem::exists(root() / "t.model"));
}

TEST_F(TokenizeCommand, RefusesASplitWithoutClips) {
  const CommandResult result = microemo({"--train", path("m.jsonl"), "--out", path("t.model"), "--split", "valid"});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.standard_error, HasSubstr("split \"valid\""));
}

TEST_F(TokenizeCommand, RefusesWordsThatDoNotGoTogether) {
  EXPECT_EQ(microemo({}).exit_code, 2);
  EXPECT_EQ(microemo({"--train", path("m.jsonl")}).exit_code, 2);
  EXPECT_EQ(microemo({path("m.jsonl")}).exit_code, 2);
  EXPECT_EQ(microemo({"--train", path("m.jsonl"), "--out", path("t.model"), "--vocabulary", "many"}).exit_code, 2);
}

TEST_F(TokenizeCommand, RefusesAFileThatIsNoModel) {
  const CommandResult result = microemo({path("a.mp4"), "text"});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.standard_error, HasSubstr("not a SentencePiece model"));
  EXPECT_EQ(result.standard_output, "");
}

TEST_F(TokenizeCommand, RefusesJsonThatIsNoTokenizer) {
  const CommandResult result = microemo({path("m.jsonl"), "text"});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.standard_error, HasSubstr("m.jsonl, line 2"));
  EXPECT_EQ(result.standard_output, "");
}

TEST_F(TokenizeCommand, RefusesAManifestThatIsNotThere) {
  const CommandResult result = microemo({"--train", path("no.jsonl"), "--out", path("t.model")});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.standard_error, HasSubstr("no.jsonl"));
}

/// The stream of ids and texts.
class TokenizeLines : public testing::Test {
 protected:
  static CommandResult run(const std::vector<std::string>& words, const std::string& input) {
    std::vector<std::string> all = {MICROEMO_BINARY, "tokenize", "--model", data + words.at(0)};
    all.insert(all.end(), words.begin() + 1, words.end());
    return run_command(all, {.standard_input = input});
  }
  static std::string ids_of(const std::vector<int64_t>& ids) {
    std::string text;
    for (const int64_t id : ids) text += (text.empty() ? "[" : ", ") + std::to_string(id);
    return text + "]\n";
  }
  static inline const std::string data = MICROEMO_SOURCE_DIR "/tests/data/text/";
};

TEST_F(TokenizeLines, GiveOneArrayForEachString) {
  const Json golden = read_json(data + "kinds/golden.json");
  const Json& qwen2 = golden["kinds"][0];
  ASSERT_EQ(qwen2["name"], "qwen2");
  std::string input, wanted;
  for (const Json& text : golden["texts"]) input += text.dump(-1, ' ', input.size() % 2 == 0) + "\n";
  for (const Json& ids : qwen2["ids"]) wanted += ids.empty() ? "[]\n" : ids_of(ids.get<std::vector<int64_t>>());
  const CommandResult result = run({"kinds/qwen2.json"}, input);
  EXPECT_EQ(result.exit_code, 0) << result.standard_error;
  EXPECT_EQ(result.standard_output, wanted);
}

TEST_F(TokenizeLines, GiveBackTheStrings) {
  const std::string texts = "\"Was it \\\"good\\\"?\\n\"\n\"<|im_end|> 🫠 \\u0001\"\n\"\"\n";
  const CommandResult ids = run({"kinds/qwen2.json"}, texts);
  EXPECT_EQ(run({"kinds/qwen2.json", "--decode"}, ids.standard_output).standard_output, texts);
}

TEST_F(TokenizeLines, ReadAFolder) { EXPECT_EQ(run({"kinds/bert", "--add-special"}, "\"\"\n").standard_output, "[2, 3]\n"); }

TEST_F(TokenizeLines, PutSpecialTokensAroundAndLeaveThemOut) {
  const std::string plain = run({"kinds/llama3.json"}, "\"so\"\n").standard_output;
  const std::string special = run({"kinds/llama3.json", "--add-special"}, "\"so\"\n").standard_output;
  EXPECT_NE(special, plain);
  EXPECT_EQ(run({"kinds/llama3.json", "--decode"}, special).standard_output, "\"<|begin_of_text|>so\"\n");
  EXPECT_EQ(run({"kinds/llama3.json", "--decode", "--skip-special"}, special).standard_output, "\"so\"\n");
}

TEST_F(TokenizeLines, FindSpecialTokensUnlessTextIsLiteral) {
  const std::string text = "\"a </s> b\"\n";
  const std::string found = run({"tokenizer.model"}, text).standard_output;
  EXPECT_THAT(found, HasSubstr(", 2, "));
  EXPECT_THAT(run({"tokenizer.model", "--literal"}, text).standard_output, testing::Not(HasSubstr(", 2, ")));
  // The older behaviour puts a blank behind the special token, where one stands already.
  EXPECT_NE(run({"tokenizer.model", "--legacy"}, text).standard_output, found);
  EXPECT_EQ(run({"tokenizer.model", "--no-legacy"}, text).standard_output, found);
}

TEST_F(TokenizeLines, FollowTheFoldersConfigurationUnlessTold) {
  const TemporaryFolder folder;
  std::filesystem::copy(data + "tokenizer.model", folder.path());
  const auto ids = [&](const std::string& configuration, const std::string& word = {}) {
    write_file_atomic(folder.path() / "tokenizer_config.json", configuration);
    std::vector<std::string> all = {MICROEMO_BINARY, "tokenize", "--model", folder.path()};
    if (!word.empty()) all.push_back(word);
    return run_command(all, {.standard_input = "\"<s> \"\n"}).standard_output;
  };
  const std::string older = ids("{}", "--legacy"), newer = ids("{}", "--no-legacy");
  EXPECT_NE(older, newer);
  EXPECT_EQ(ids("{}"), older);
  EXPECT_EQ(ids(R"({"legacy": true})"), older);
  EXPECT_EQ(ids(R"({"legacy": true})", "--no-legacy"), newer);
  EXPECT_EQ(ids(R"({"legacy": false})"), newer);
  EXPECT_EQ(ids(R"({"legacy": false})", "--legacy"), older);
}

TEST_F(TokenizeLines, TakeALastLineWithoutAnEnd) {
  EXPECT_EQ(run({"kinds/qwen2.json"}, "\"a\"").standard_output, run({"kinds/qwen2.json"}, "\"a\"\n").standard_output);
  EXPECT_EQ(run({"kinds/qwen2.json"}, "").standard_output, "");
}

TEST_F(TokenizeLines, ReadHalfAPairOfSurrogatesAsAReplacement) {
  EXPECT_EQ(run({"kinds/qwen2.json"}, "\"\\ud83d\"\n\"\\ud83dA\"\n\"\\ude00\\ud83d\"\n\"\\ud83d\\ude42\"\n").standard_output,
            run({"kinds/qwen2.json"}, "\"\\ufffd\"\n\"\\ufffdA\"\n\"\\ufffd\\ufffd\"\n\"🙂\"\n").standard_output);
}

TEST_F(TokenizeLines, RefuseALineThatIsNoString) {
  for (const std::string line :
       {"so", "", "\"so", "so\"", "\"", "3", "[1]", "\"a\" \"b\"", "\"\\x\"", "\"\\u12\"", "\"\\uzzzz\"", "\"\\\"", "\"a\tb\""}) {
    const CommandResult result = run({"kinds/qwen2.json"}, "\"good\"\n" + line + "\n");
    EXPECT_EQ(result.exit_code, 3) << line;
    EXPECT_THAT(result.standard_error, HasSubstr("standard input, line 2")) << line;
    EXPECT_EQ(std::count(result.standard_output.begin(), result.standard_output.end(), '\n'), 1) << line;
  }
}

TEST_F(TokenizeLines, RefuseALineThatIsNoArrayOfIds) {
  for (const std::string line :
       {"1", "[1", "1]", "[1 2]", "[1,]", "[,1]", "[1.5]", "[\"a\"]", "[99999999999999999999]", "{}", "\"a\""}) {
    const CommandResult result = run({"kinds/qwen2.json", "--decode"}, line + "\n");
    EXPECT_EQ(result.exit_code, 3) << line;
    EXPECT_THAT(result.standard_error, HasSubstr("standard input, line 1")) << line;
  }
}

TEST_F(TokenizeLines, RefuseIdsOutsideTheVocabulary) {
  for (const std::string line : {"[-1]", "[0, 100000]", "[9223372036854775807]"}) {
    const CommandResult result = run({"kinds/qwen2.json", "--decode"}, "[0]\n" + line + "\n");
    EXPECT_EQ(result.exit_code, 3) << line;
    EXPECT_THAT(result.standard_error, HasSubstr("not in the vocabulary"));
    EXPECT_THAT(result.standard_error, HasSubstr("standard input, line 2"));
  }
}

TEST_F(TokenizeLines, RefuseAFolderWithoutATokenizer) {
  EXPECT_EQ(run({"kinds"}, "").exit_code, 3);
  EXPECT_THAT(run({"kinds"}, "").standard_error, HasSubstr("looked for tokenizer.model, tokenizer.json, tekken.json, vocab.txt"));
}

TEST_F(TokenizeLines, RefuseOtherWordsBesideTheModel) { EXPECT_EQ(run({"kinds/qwen2.json", "words"}, "").exit_code, 2); }

}  // namespace
}  // namespace microemo::cli
