#include "microemo/base/progress.h"

#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace microemo {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

ProgressFacts facts() { return {.label = "prepare", .unit = "clips", .total = 10, .done = 4, .seconds = 2}; }

TEST(ProgressText, TellsDoneTotalSpeedAndTimeLeft) {
  EXPECT_EQ(progress_text(facts()), "prepare   40%  4/10 clips  2.0/s  0:02, left 0:03");
}

TEST(ProgressText, DoesNotCountSkippedWorkIntoTheSpeed) {
  ProgressFacts resumed = facts();
  resumed.skipped = 3;
  EXPECT_THAT(progress_text(resumed), HasSubstr("2.0 s each  0:02, left 0:12"));
}

TEST(ProgressText, TellsNoPartOfAnUnknownTotal) {
  ProgressFacts unknown = facts();
  unknown.total = 0;
  EXPECT_EQ(progress_text(unknown), "prepare  4 clips  2.0/s  0:02");
}

TEST(ProgressText, TellsNoTimeLeftBeforeAnythingIsDone) {
  ProgressFacts fresh = facts();
  fresh.done = 0;
  EXPECT_EQ(progress_text(fresh), "prepare    0%  0/10 clips  0:02");
}

TEST(ProgressText, IsNotFullBeforeTheLastOne) {
  ProgressFacts nearly = facts();
  nearly.done = 999;
  nearly.total = 1000;
  EXPECT_THAT(progress_text(nearly), HasSubstr(" 99%"));
}

TEST(ProgressText, TellsLongTimesInHours) {
  ProgressFacts slow = facts();
  slow.seconds = 7325;
  EXPECT_THAT(progress_text(slow), HasSubstr("2:02:05"));
}

TEST(ProgressText, EndsWithTheNote) {
  ProgressFacts noted = facts();
  noted.note = "loss 1.234";
  EXPECT_THAT(progress_text(noted), ::testing::EndsWith("  loss 1.234"));
}

class ProgressLines : public ::testing::Test {
 protected:
  void TearDown() override { show_progress(false); }
};

TEST_F(ProgressLines, AreNotWrittenUnlessSwitchedOn) {
  ::testing::internal::CaptureStderr();
  { Progress progress("prepare", "clips", 3); }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

TEST_F(ProgressLines, ArePlainAndOneAtTheEndAwayFromATerminal) {
  show_progress(true);
  ::testing::internal::CaptureStderr();
  {
    Progress progress("prepare", "clips", 3);
    for (int i = 0; i < 3; ++i) progress.add(1, "fine");
    progress.finish();
  }
  const std::string text = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(text, HasSubstr("prepare  100%  3/3 clips"));
  EXPECT_THAT(text, HasSubstr("fine\n"));
  EXPECT_THAT(text, Not(HasSubstr("\r")));
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
}

TEST_F(ProgressLines, CountWhatSeveralThreadsAdd) {
  show_progress(true);
  ::testing::internal::CaptureStderr();
  {
    Progress progress("prepare", "clips", 4000);
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i)
      threads.emplace_back([&] {
        for (int j = 0; j < 1000; ++j) progress.add();
      });
    threads.clear();
  }
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), HasSubstr("4000/4000"));
}

}  // namespace
}  // namespace microemo
