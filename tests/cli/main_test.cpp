// What all commands have in common: words, output, signals.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "microemo/base/error.h"
#include "support/command.h"

namespace microemo {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

test::CommandResult microemo(std::vector<std::string> words) {
  words.emplace(words.begin(), MICROEMO_BINARY);
  return test::run_command(words);
}

void expect_wrong_words(const std::vector<std::string>& words, const std::string& what, const std::string& next) {
  const test::CommandResult result = microemo(words);
  EXPECT_EQ(result.exit_code, exit_code(ErrorKind::config));
  EXPECT_EQ(result.standard_output, "");
  EXPECT_THAT(result.standard_error, StartsWith("error (config): "));
  EXPECT_THAT(result.standard_error, HasSubstr(what));
  EXPECT_THAT(result.standard_error, HasSubstr("\n  where  command line\n  next   " + next));
}

TEST(CommandLine, AsksForACommand) { expect_wrong_words({}, "subcommand is required", "see microemo --help"); }

TEST(CommandLine, AsksForThePartOfACommand) {
  expect_wrong_words({"config"}, "subcommand is required", "see microemo config --help");
}

TEST(CommandLine, RefusesAnUnknownOption) {
  expect_wrong_words({"score", "a", "b", "--sead"}, "--sead", "see microemo score --help");
}

TEST(CommandLine, RefusesANumberOutsideItsRange) {
  expect_wrong_words({"media", "frames", "clip.mp4", "--cells", "-1"}, "--cells", "see microemo media frames --help");
}

TEST(CommandLine, APathThatNoSystemTakesIsNoBug) {
  for (const std::string command : {"inspect", "tokenize", "generate"}) {
    std::vector<std::string> words{command, std::string(5000, 'x')};
    if (command == "generate") words.emplace_back("text");
    const test::CommandResult result = microemo(words);
    EXPECT_NE(result.exit_code, 0) << command;
    EXPECT_NE(result.exit_code, exit_code(ErrorKind::internal)) << command << ": " << result.standard_error;
    EXPECT_THAT(result.standard_error, Not(HasSubstr("this is a bug"))) << command;
  }
}

TEST(CommandLine, PrintsHelpAndVersionAsOutput) {
  for (const std::string word : {"--help", "--version"}) {
    const test::CommandResult result = microemo({word});
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_THAT(result.standard_output, HasSubstr("microemo"));
    EXPECT_EQ(result.standard_error, "");
  }
}

TEST(CommandLine, SaysWhenItsOutputIsLost) {
  for (const std::string words : {"--help", "config reference", "train --help"}) {
    const test::CommandResult result =
        test::run_command({"sh", "-c", fmt::format("exec {} {} >/dev/full", MICROEMO_BINARY, words)});
    EXPECT_EQ(result.exit_code, exit_code(ErrorKind::environment)) << words;
    EXPECT_THAT(result.standard_error, StartsWith("error (environment): the output cannot be written: No space left on device"));
    EXPECT_THAT(result.standard_error, HasSubstr("\n  where  standard output\n  next   free some space"));
  }
}

TEST(CommandLine, SaysWhenItsOutputIsClosed) {
  EXPECT_EQ(test::run_command({"sh", "-c", fmt::format("exec {} config reference >&-", MICROEMO_BINARY)}).exit_code,
            exit_code(ErrorKind::environment));
}

TEST(CommandLine, EndsByASignalWhereNothingIsToBeSaved) {
  for (const int signal : {SIGTERM, SIGINT})
    EXPECT_EQ(test::interrupt_printing({MICROEMO_BINARY, "config", "reference"}, signal), 128 + signal);
}

}  // namespace
}  // namespace microemo
