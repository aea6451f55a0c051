#include "microemo/base/log.h"

#include <regex>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "microemo/base/files.h"
#include "microemo/base/json.h"
#include "support/errors.h"

namespace microemo {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Log : public ::testing::Test {
 protected:
  void SetUp() override { ::testing::internal::CaptureStderr(); }
  void TearDown() override {
    close_log();
    if (!taken_) console();
  }
  std::string console() {
    taken_ = true;
    return ::testing::internal::GetCapturedStderr();
  }
  std::vector<Json> lines() {
    std::vector<Json> result;
    read_jsonl(path(), [&](const Json& line, int64_t) { result.push_back(line); });
    return result;
  }
  std::filesystem::path path() const { return folder_.path() / "log.jsonl"; }

 private:
  TemporaryFolder folder_;
  bool taken_ = false;
};

TEST_F(Log, IsSilentUntilItIsOpened) {
  log_warning("nobody hears this");
  EXPECT_EQ(console(), "");
}

TEST_F(Log, WritesLinesOfItsLevelAndAboveToStandardError) {
  open_log(LogLevel::info);
  log_debug("too fine");
  log_info("a line with {} and %s");
  log_warning("a clip was skipped");
  EXPECT_EQ(console(), "a line with {} and %s\nwarning: a clip was skipped\n");
}

TEST_F(Log, WritesEveryLevelToTheFile) {
  open_log(LogLevel::warning, path());
  log_debug("one");
  log_info("two \"quoted\"\nlines");
  log_warning("three");
  const std::vector<Json> written = lines();
  ASSERT_EQ(written.size(), 3u);
  EXPECT_EQ(written[0]["level"], "debug");
  EXPECT_EQ(written[1]["level"], "info");
  EXPECT_EQ(written[1]["message"], "two \"quoted\"\nlines");
  EXPECT_EQ(written[2]["level"], "warning");
  EXPECT_EQ(console(), "warning: three\n");
}

TEST_F(Log, DatesEveryLineInUniversalTime) {
  open_log(LogLevel::warning, path());
  log_info("now");
  const std::regex date(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)");
  EXPECT_TRUE(std::regex_match(lines().at(0)["time"].get<std::string>(), date)) << lines().at(0);
}

TEST_F(Log, AppendsToAnEarlierFile) {
  for (int run = 0; run < 2; ++run) {
    open_log(LogLevel::warning, path());
    log_info("run");
    close_log();
  }
  EXPECT_EQ(lines().size(), 2u);
}

TEST_F(Log, WritesTextThatIsNotUtf8AsReplacementCharacters) {
  open_log(LogLevel::warning, path());
  log_info("name \xff of a file");
  EXPECT_EQ(lines().at(0)["message"], "name \xef\xbf\xbd of a file");
}

TEST_F(Log, KeepsLinesOfSeveralThreadsWhole) {
  open_log(LogLevel::warning, path());
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i)
      threads.emplace_back([] {
        for (int j = 0; j < 100; ++j) log_info("a line");
      });
  }
  EXPECT_EQ(lines().size(), 400u);
}

TEST_F(Log, IsSilentAfterItIsClosed) {
  open_log(LogLevel::info);
  close_log();
  log_info("nobody hears this");
  EXPECT_EQ(console(), "");
}

TEST_F(Log, RefusesAFileThatCannotBeOpened) {
  test::expect_error(
      ErrorKind::environment, [] { open_log(LogLevel::info, "/proc/nothing/log.jsonl"); }, "/proc/nothing/log.jsonl");
}

}  // namespace
}  // namespace microemo
