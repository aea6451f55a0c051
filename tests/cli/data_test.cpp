#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "media/media.h"
#include "microemo/base/files.h"
#include "microemo/base/json.h"

namespace microemo::cli {
namespace {

using test::CommandResult;
using test::run_command;
using testing::HasSubstr;
using testing::Not;

class DataCommand : public testing::Test {
 protected:
  void SetUp() override {
    test::ffmpeg({"-f", "lavfi", "-i", "testsrc2=s=160x120:r=25:d=0.5", "-f", "lavfi", "-i", "sine=r=16000:d=0.5", "-c:v",
                  "libx264", "-preset", "ultrafast", "-threads", "1", "-c:a", "aac", path("a.mp4")});
  }
  std::string path(const std::string& name) const { return (folder_.path() / name).string(); }
  /// Runs `microemo data WHAT` on a manifest of these lines.
  CommandResult data(const std::string& what, const std::string& lines, const std::vector<std::string>& more = {}) const {
    write_file_atomic(path("m.jsonl"), lines);
    std::vector<std::string> words = {MICROEMO_BINARY, "data", what, path("m.jsonl")};
    words.insert(words.end(), more.begin(), more.end());
    return run_command(words);
  }

  static constexpr auto good =
      R"({"id": "a", "video": "a.mp4", "utterances": [{"start_s": 0, "end_s": 0.4, "labels": ["calm"]}]})";
  static constexpr auto outside =
      R"({"id": "a", "video": "a.mp4", "utterances": [{"start_s": 0, "end_s": 4, "labels": ["calm"]}]})";

 private:
  TemporaryFolder folder_;
};

TEST_F(DataCommand, CheckIsContentWithAGoodManifest) {
  const CommandResult result = data("check", good);
  EXPECT_EQ(result.exit_code, 0) << result.standard_error;
  EXPECT_EQ(result.standard_output, "1 clip: 0 errors, 0 warnings\n");
}

TEST_F(DataCommand, CheckEndsWithTheDataExitCodeAndSaysWhatToDo) {
  const CommandResult result = data("check", outside);
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.standard_output, HasSubstr("error: utterance 1 of clip \"a\" ends at 4.000 s"));
  EXPECT_THAT(result.standard_output, HasSubstr("m.jsonl, line 1, clip a"));
  EXPECT_THAT(result.standard_output, HasSubstr("  next   "));
}

TEST_F(DataCommand, CheckTakesAFilmWithATranscriptOfTwoUtterances) {
  const auto film = test::test_media("Megamind.avi");
  if (!film) GTEST_SKIP() << test::no_test_media("Megamind.avi");
  write_file_atomic(path("talk.srt"), "1\n00:00:00,500 --> 00:00:04,000\nOne.\n\n2\n00:00:05,000 --> 00:00:10,500\nTwo.\n");
  const std::string line = R"({"id": "m", "transcript": "talk.srt", "video": ")" + film->string() + "\"}";
  const CommandResult result = data("check", line);
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.standard_output, HasSubstr("no labels and no answer for utterance 1, 2"));
  EXPECT_THAT(result.standard_output, HasSubstr("1 clip: 0 errors, 1 warning\n"));
  const CommandResult stats = data("stats", line, {"--json"});
  EXPECT_EQ(parse_json(stats.standard_output, "output")["splits"][""]["utterances"], 2);
}

TEST_F(DataCommand, CheckGivesJson) {
  const CommandResult result = data("check", std::string(outside) + "\n{\n", {"--json"});
  EXPECT_EQ(result.exit_code, 3);
  const Json report = parse_json(result.standard_output, "output");
  EXPECT_EQ(report["errors"], 2);
  EXPECT_EQ(report["findings"][0]["line"], 1);
  EXPECT_EQ(report["findings"][1]["code"], "manifest");
}

TEST_F(DataCommand, CheckShowsTheFirstOfManyMistakesAndCountsTheRest) {
  std::string bytes;
  for (int i = 0; i < 300; ++i) bytes += "\xff\xfe{" + std::to_string(i) + "\n";
  const CommandResult result = data("check", bytes);
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_LT(std::count(result.standard_output.begin(), result.standard_output.end(), '\n'), 300);
  EXPECT_THAT(result.standard_output, HasSubstr("and 250 more; --json lists all\n300 clips: 300 errors, 0 warnings\n"));
  EXPECT_THAT(result.standard_error, Not(HasSubstr("check")));  // no progress of nothing
  const CommandResult json = data("check", bytes, {"--json"});
  EXPECT_EQ(parse_json(json.standard_output, "output")["findings"].size(), 300u);
}

TEST_F(DataCommand, CheckShowsErrorsRatherThanWarnings) {
  std::string lines;
  for (int i = 0; i < 60; ++i) lines += "{\"id\": \"" + std::to_string(i) + "\", \"video\": \"a.mp4\"}\n";
  EXPECT_THAT(data("check", lines + "{}\n").standard_output, HasSubstr("error: "));
}

TEST_F(DataCommand, CheckIsContentWithWarnings) {
  const CommandResult result = data("check", R"({"id": "a", "video": "a.mp4"})");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.standard_output, HasSubstr("warning: the clip has no utterances"));
}

TEST_F(DataCommand, RefusesAnEmptyManifest) {
  for (const char* what : {"check", "stats"}) {
    const CommandResult result = data(what, "");
    EXPECT_EQ(result.exit_code, 3);
    EXPECT_THAT(result.standard_error, HasSubstr("the manifest is empty"));
  }
}

TEST_F(DataCommand, StatsCountsClipsAndLabels) {
  const CommandResult result = data("stats", good, {"--json"});
  EXPECT_EQ(result.exit_code, 0) << result.standard_error;
  const Json stats = parse_json(result.standard_output, "output");
  EXPECT_EQ(stats["splits"][""]["utterances"], 1);
  EXPECT_EQ(stats["labels"]["calm"], 1);
}

TEST_F(DataCommand, StatsPrintsATable) {
  const CommandResult result = data("stats", good);
  EXPECT_THAT(result.standard_output, HasSubstr("utterances"));
  EXPECT_THAT(result.standard_output, HasSubstr("160x120"));
}

TEST_F(DataCommand, StatsRefusesABrokenLine) {
  const CommandResult result = data("stats", "{\n");
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.standard_error, HasSubstr("line 1"));
}

TEST_F(DataCommand, NeedsASubcommandAndAManifest) {
  EXPECT_EQ(run_command({MICROEMO_BINARY, "data"}).exit_code, 2);
  EXPECT_EQ(run_command({MICROEMO_BINARY, "data", "check"}).exit_code, 2);
}

}  // namespace
}  // namespace microemo::cli
