#include "microemo/parallel/watch.h"

#include "support/errors.h"

namespace microemo::parallel {
namespace {

using testing::HasSubstr;

Beat beat(int64_t number, Phase phase, bool waiting, double phase_s) {
  return {.number = number,
          .step = 41,
          .phase = phase,
          .waiting = waiting,
          .phase_s = phase_s,
          .limit_s = RankOptions().limit_s(phase),
          .beat_s = 2};
}

/// Two ranks whose beats come every 2 s from `from_s` on.
void see_both(Watch& watch, double from_s, double to_s, const Beat& zero, const Beat& one) {
  int64_t number = 1;
  for (double now_s = from_s; now_s <= to_s; now_s += 2, ++number) {
    for (int64_t rank = 0; rank < 2; ++rank) {
      Beat given = rank == 0 ? zero : one;
      given.number = number;
      given.phase_s += now_s - from_s;
      watch.see(rank, given, now_s);
      EXPECT_EQ(watch.verdict(now_s).has_value(), false) << now_s;
    }
  }
}

TEST(Watch, BeatsAreReadBack) {
  const Beat sent = beat(9, Phase::validation, true, 3.5);
  const Beat read = parse_beat(beat_text(sent)).value();
  EXPECT_EQ(read.number, 9);
  EXPECT_EQ(read.step, 41);
  EXPECT_EQ(read.phase, Phase::validation);
  EXPECT_TRUE(read.waiting);
  EXPECT_EQ(read.phase_s, 3.5);
  EXPECT_EQ(read.limit_s, 1800);
  EXPECT_FALSE(parse_beat("").has_value());
  EXPECT_FALSE(parse_beat("{\"phase\": 9}").has_value());
}

TEST(Watch, NamesTheOneThatWorksTooLongAndNotThoseThatWait) {
  Watch watch(2);
  see_both(watch, 0, 58, beat(0, Phase::step, true, 0), beat(0, Phase::step, false, 0));
  watch.see(0, beat(99, Phase::step, true, 61), 61);
  watch.see(1, beat(99, Phase::step, false, 61), 61);
  const std::string verdict = watch.verdict(61).value();
  EXPECT_EQ(verdict, "hangs: rank 1 in step 41, phase step for 61 s (limit 60 s)");
}

TEST(Watch, NamesTheOneThatFellSilentThoughItWaitedWhenLastSeen) {
  Watch watch(2);
  see_both(watch, 0, 10, beat(0, Phase::step, true, 0), beat(0, Phase::step, true, 0));
  watch.see(0, beat(99, Phase::step, true, 62), 62);
  const std::string verdict = watch.verdict(62).value();
  EXPECT_EQ(verdict, "hangs: rank 1 in step 41, phase step for 62 s (limit 60 s), silent for 52 s");
}

TEST(Watch, NamesTheOneThatFellSilentInALongPhaseOnceTheOthersWaitTooLong) {
  Watch watch(2);
  see_both(watch, 0, 2, beat(0, Phase::step, true, 0), beat(0, Phase::first_step, false, 0));
  for (double now_s = 4; now_s <= 60; now_s += 2) {
    watch.see(0, beat(int64_t(now_s), Phase::step, true, now_s), now_s);
    EXPECT_FALSE(watch.verdict(now_s).has_value()) << now_s;
  }
  watch.see(0, beat(62, Phase::step, true, 62), 62);
  EXPECT_EQ(watch.verdict(62).value(), "hangs: rank 1 in step 41, phase first step for 62 s (limit 600 s), silent for 60 s");
}

TEST(Watch, WaitsForARankThatWritesACheckpoint) {
  Watch watch(2);
  see_both(watch, 0, 590, beat(0, Phase::checkpoint, false, 0), beat(0, Phase::step, true, 0));
  watch.see(0, beat(999, Phase::checkpoint, false, 601), 601);
  watch.see(1, beat(999, Phase::step, true, 601), 601);
  EXPECT_THAT(watch.verdict(601).value(), HasSubstr("hangs: rank 0 in step 41, phase checkpoint"));
}

TEST(Watch, NamesAllWhenAllWaitForEachOther) {
  Watch watch(2);
  for (const double now_s : {0.0, 61.0})
    for (int64_t rank = 0; rank < 2; ++rank) watch.see(rank, beat(int64_t(now_s), Phase::step, true, now_s), now_s);
  EXPECT_THAT(watch.verdict(61).value(),
              testing::AllOf(HasSubstr("all wait for each other"), HasSubstr("rank 0"), HasSubstr("rank 1")));
}

TEST(Watch, DoesNotJudgeThoseThatWereNeverSeenOrHaveEnded) {
  Watch watch(2);
  watch.see(0, beat(1, Phase::step, false, 0), 0);
  watch.ended(0);
  EXPECT_FALSE(watch.verdict(1000).has_value());
  EXPECT_EQ(watch.last_of(0), "in step 41, phase step");
  EXPECT_EQ(watch.last_of(1), "before its first sign of life");
  EXPECT_EQ(watch.last_step(), 41);
}

TEST(Watch, OneAndTheSameBeatIsNoSignOfLife) {
  Watch watch(1);
  for (double now_s = 0; now_s < 60; now_s += 1) watch.see(0, beat(5, Phase::step, false, 1), now_s);
  EXPECT_THAT(watch.verdict(60).value(), HasSubstr("silent for 60 s"));
}

TEST(Watch, TheTimeoutOfTheCommunicationLiesAboveAllLimits) {
  RankOptions options;
  for (const Phase phase : {Phase::start, Phase::first_step, Phase::step, Phase::validation, Phase::checkpoint})
    EXPECT_GT(options.timeout_s(), options.limit_s(phase) + 10);
}

}  // namespace
}  // namespace microemo::parallel
