#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "microemo/base/files.h"
#include "support/command.h"

// The scripts of tools/ as a user runs them, without installing or building anything.

namespace microemo {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string source = MICROEMO_SOURCE_DIR;

TEST(Scripts, ExplainThemselves) {
  for (const char* script : {"tools/setup", "tools/quickstart", "tools/test", ".ci/run"}) {
    const auto result = test::run_command({source + "/" + script, "--help"});
    EXPECT_EQ(result.exit_code, 0) << script << result.standard_error;
    EXPECT_THAT(result.standard_output, HasSubstr(script)) << script;
  }
}

TEST(Scripts, RefuseUnknownOptionsWithTheNextStep) {
  for (const char* script : {"tools/setup", "tools/quickstart", "tools/test"}) {
    const auto result = test::run_command({source + "/" + script, "--no-such-option"});
    EXPECT_EQ(result.exit_code, 1) << script;
    EXPECT_THAT(result.standard_error, HasSubstr("--help")) << script;
  }
}

TEST(Scripts, RefuseASeedThatIsNoNumberBeforeAnythingIsMade) {
  for (const char* seed : {"abc", "-1", "1.5", "12345678901"}) {
    const auto result = test::run_command({source + "/tools/quickstart", "--seed", seed});
    EXPECT_EQ(result.exit_code, 1) << seed;
    EXPECT_THAT(result.standard_error, HasSubstr(std::string("--seed is '") + seed + "'"));
    EXPECT_EQ(result.standard_output, "");
  }
}

/// A place with stages of its own, where `program` stands for the binary whose change makes everything stale.
class Stages : public ::testing::Test {
 protected:
  Stages() {
    fs::create_directories(place_.path() / "stages");
    write_file_atomic(place_.path() / "program", "first");
  }

  test::CommandResult run(const std::string& lines) const {
    const std::string script = "set -euo pipefail; source " + source + "/tools/lib/common.sh; source " + source +
                               "/tools/lib/stages.sh; cd " + place_.path().string() + "; stages=stages microemo=program\n" +
                               lines;
    return test::run_command({"bash", "-c", script});
  }
  bool exists(const std::string& name) const { return fs::exists(place_.path() / name); }
  std::string content(const std::string& name) const { return read_file(place_.path() / name); }

  TemporaryFolder place_;
};

const std::string append = "stage make out bash -c 'echo x >>out'";

TEST_F(Stages, ThatAreCompleteAreNotDoneAgain) {
  EXPECT_EQ(run(append).exit_code, 0);
  const auto again = run(append);
  EXPECT_EQ(again.exit_code, 0);
  EXPECT_THAT(again.standard_output, HasSubstr("make: complete"));
  EXPECT_EQ(content("out"), "x\n");
}

TEST_F(Stages, OfAnotherProgramStartAnew) {
  run(append);
  write_file_atomic(place_.path() / "program", "second");
  EXPECT_THAT(run(append).standard_output, Not(HasSubstr("complete")));
  EXPECT_EQ(content("out"), "x\n");
}

TEST_F(Stages, OfAnotherCommandStartAnew) {
  run(append);
  run("stage make out bash -c 'echo y >>out'");
  EXPECT_EQ(content("out"), "y\n");
}

TEST_F(Stages, ThatWereStoppedGoOn) {
  const std::string command = "stage make out bash -c 'echo x >>out; [[ -e go ]] || exit 75'";
  const auto stopped = run(command);
  EXPECT_EQ(stopped.exit_code, 1);
  EXPECT_THAT(stopped.standard_error, HasSubstr("make was stopped"));
  write_file_atomic(place_.path() / "go", "");
  EXPECT_EQ(run(command).exit_code, 0);
  EXPECT_EQ(content("out"), "x\nx\n");
}

TEST_F(Stages, ThatFailSayHowAndAreNotComplete) {
  const auto failed = run("stage make out bash -c 'exit 3'");
  EXPECT_EQ(failed.exit_code, 1);
  EXPECT_THAT(failed.standard_error, HasSubstr("make failed (exit status 3)"));
  EXPECT_FALSE(exists("stages/make.done"));
}

TEST_F(Stages, AddUpTheTimeOfEveryPart) {
  write_file_atomic(place_.path() / "stages/make.spent", "10.5 100\n20.0 300\n");
  EXPECT_EQ(run("spent make seconds; spent make peak").standard_output, "30.5\n300\n");
  EXPECT_EQ(run("seconds_json make").standard_output, "\"make\": 30.5");
}

TEST_F(Stages, AreWaitedForUntilThisCallHasReachedThem) {
  run(append);  // complete, but in an earlier call
  const auto result =
      run("rm -f stages/*.reached\n"
          "(sleep 0.3; touch late; " +
          append +
          ") >log 2>&1 &\n"
          "wait_for make $! log; [[ -e late ]] && echo waited");
  EXPECT_THAT(result.standard_output, HasSubstr("waited")) << result.standard_error;
}

TEST_F(Stages, AreNotWaitedForWhenTheirLaneHasFailed) {
  const auto result = run("(fail 'broken' 'mend it') >log 2>&1 & wait_for make $! log");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.standard_error, HasSubstr("a stage in the background failed"));
}

TEST_F(Stages, AreAskedToEndWhenTheScriptEnds) {
  const auto result = run(
      "trap stop_stages EXIT\n"
      "(stage behind '' bash -c 'trap \"touch saved; exit 75\" TERM; touch ready; while :; do sleep 0.05; done') >log 2>&1 &\n"
      "until [[ -e ready ]]; do sleep 0.05; done\n"
      "(fail 'the stage in front failed') || exit 1");
  EXPECT_EQ(result.exit_code, 1);
  for (int i = 0; i < 200 && !exists("saved"); ++i) ::usleep(50'000);
  EXPECT_TRUE(exists("saved"));
}

}  // namespace
}  // namespace microemo
