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
  const CommandResult result = microemo({path("m.jsonl"), "text"});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.standard_error, HasSubstr("not a SentencePiece model"));
  EXPECT_EQ(result.standard_output, "");
}

TEST_F(TokenizeCommand, RefusesAManifestThatIsNotThere) {
  const CommandResult result = microemo({"--train", path("no.jsonl"), "--out", path("t.model")});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.standard_error, HasSubstr("no.jsonl"));
}

}  // namespace
}  // namespace microemo::cli
