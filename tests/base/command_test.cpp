// The helper that runs programs for other tests.
#include "support/command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace microemo::test {
namespace {

using ::testing::HasSubstr;

TEST(RunCommand, KeepsTheTwoOutputsApart) {
  const CommandResult result = run_command({"sh", "-c", "echo out; echo err >&2; exit 3"});
  EXPECT_EQ(result.standard_output, "out\n");
  EXPECT_EQ(result.standard_error, "err\n");
  EXPECT_EQ(result.exit_code, 3);
}

TEST(RunCommand, FeedsAndDrainsMoreThanAPipeHolds) {
  const std::string text(1 << 20, 'x');
  EXPECT_EQ(run_command({"cat"}, {.standard_input = text}).standard_output, text);
}

TEST(RunCommand, SurvivesAProgramThatDoesNotRead) {
  EXPECT_EQ(run_command({"true"}, {.standard_input = std::string(1 << 20, 'x')}).exit_code, 0);
}

TEST(RunCommand, AddsAndRemovesNamesOfTheEnvironment) {
  const CommandOptions options{.environment = {{"MICROEMO_TEST", "yes"}, {"HOME", ""}}};
  EXPECT_EQ(run_command({"sh", "-c", "echo $MICROEMO_TEST-$HOME"}, options).standard_output, "yes-\n");
}

TEST(RunCommand, RunsInAFolder) { EXPECT_EQ(run_command({"pwd"}, {.folder = "/"}).standard_output, "/\n"); }

TEST(RunCommand, TellsTheSignalThatEndedAProgram) {
  EXPECT_EQ(run_command({"sh", "-c", "kill -TERM $$"}).exit_code, 128 + SIGTERM);
}

TEST(RunCommand, EndsAProgramThatTakesTooLong) {
  const CommandResult result = run_command({"sleep", "1000"}, {.timeout_s = 0.1});
  EXPECT_TRUE(result.timed_out);
  EXPECT_EQ(result.exit_code, 128 + SIGKILL);
}

TEST(RunCommand, DoesNotHandItsOwnSignalHandlingOn) {
  EXPECT_EQ(run_command({"sh", "-c", "kill -PIPE $$; echo ignored"}).exit_code, 128 + SIGPIPE);
}

TEST(RunCommand, RefusesAProgramThatDoesNotExist) { EXPECT_THROW(run_command({"/nowhere/program"}), std::runtime_error); }

}  // namespace
}  // namespace microemo::test
