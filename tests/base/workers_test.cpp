#include "microemo/base/workers.h"

#include <sched.h>
#include <signal.h>

#include <atomic>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "microemo/base/files.h"
#include "support/errors.h"

namespace microemo {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class Workers : public ::testing::Test {
 protected:
  void TearDown() override { clear_stop_request(); }
};

TEST_F(Workers, DoEveryIndexOnce) {
  std::mutex mutex;
  std::multiset<int64_t> done;
  const int64_t finished = for_each_parallel(1000, 4, [&](int64_t index, int) {
    const std::lock_guard lock(mutex);
    done.insert(index);
  });
  EXPECT_EQ(finished, 1000);
  EXPECT_EQ(done.size(), 1000u);
  EXPECT_EQ(std::set<int64_t>(done.begin(), done.end()).size(), 1000u);
}

TEST_F(Workers, HaveNumbersBelowTheirCountAndOneThreadEach) {
  std::mutex mutex;
  std::map<int, std::set<std::thread::id>> threads;
  for_each_parallel(500, 3, [&](int64_t, int worker) {
    const std::lock_guard lock(mutex);
    threads[worker].insert(std::this_thread::get_id());
  });
  for (const auto& [worker, ids] : threads) {
    EXPECT_GE(worker, 0);
    EXPECT_LT(worker, 3);
    EXPECT_EQ(ids.size(), 1u);
  }
}

TEST_F(Workers, WorkAtTheSameTime) {
  std::atomic<int> arrived{0};
  for_each_parallel(3, 3, [&](int64_t, int) {
    ++arrived;
    while (arrived < 3) std::this_thread::yield();
  });
  EXPECT_EQ(arrived, 3);
}

TEST_F(Workers, AreNoMoreThanTheWork) {
  for_each_parallel(2, 100, [&](int64_t, int worker) { EXPECT_LT(worker, 2); });
}

TEST_F(Workers, DoNothingForNoWork) {
  EXPECT_EQ(for_each_parallel(0, 4, [](int64_t, int) { FAIL(); }), 0);
}

TEST_F(Workers, TakeTheBudgetWhenNoNumberIsGiven) {
  EXPECT_EQ(for_each_parallel(10, 0, [](int64_t, int worker) { EXPECT_LT(worker, thread_budget().threads); }), 10);
}

TEST_F(Workers, StopAtTheFirstErrorAndHandItOn) {
  std::atomic<int64_t> started{0};
  const auto work = [&](int64_t index, int) {
    ++started;
    if (index == 5) throw DataError("clip 5 is broken").where("e.jsonl", 6);
  };
  const Error error = test::expect_error(
      ErrorKind::data, [&] { for_each_parallel(1000000, 4, work); }, "clip 5 is broken");
  EXPECT_EQ(error.place(), "e.jsonl, line 6");
  EXPECT_LT(started, 1000000);
}

TEST_F(Workers, HandOnAnErrorOfAnyType) {
  EXPECT_THROW(for_each_parallel(3, 2, [](int64_t, int) { throw std::runtime_error("x"); }), std::runtime_error);
}

TEST_F(Workers, StopWhenAsked) {
  const int64_t finished = for_each_parallel(1000, 1, [](int64_t index, int) {
    if (index == 9) request_stop();
  });
  EXPECT_EQ(finished, 10);
}

TEST_F(Workers, DoNotStartAfterAStopRequest) {
  request_stop();
  EXPECT_EQ(for_each_parallel(10, 2, [](int64_t, int) { FAIL(); }), 0);
}

TEST_F(Workers, TakeAStopRequestBack) {
  request_stop();
  clear_stop_request();
  EXPECT_FALSE(stop_requested());
}

TEST_F(Workers, TakeASignalAsAStopRequest) {
  install_stop_signals();
  for (const int signal_number : {SIGTERM, SIGINT}) {
    EXPECT_FALSE(stop_requested());
    ::raise(signal_number);
    EXPECT_TRUE(stop_requested());
    clear_stop_request();
  }
  ::signal(SIGTERM, SIG_DFL);
  ::signal(SIGINT, SIG_DFL);
}

TEST(WorkersDeathTest, EndAtTheSecondSignal) {
  EXPECT_EXIT(
      {
        install_stop_signals();
        ::raise(SIGTERM);
        ::raise(SIGTERM);
      },
      ::testing::KilledBySignal(SIGTERM), "");
}

TEST(WorkersDeathTest, SurviveOneSignalAfterAStopRequestOfTheProgram) {
  EXPECT_EXIT(
      {
        install_stop_signals();
        request_stop();
        ::raise(SIGTERM);
        ::_exit(0);
      },
      ::testing::ExitedWithCode(0), "");
}

TEST(ThreadBudgetOfThisMachine, FollowsTheAffinityMask) {
  cpu_set_t before;
  ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
  cpu_set_t one;
  CPU_ZERO(&one);
  for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++cpu)
    if (CPU_ISSET(cpu, &before)) CPU_SET(cpu, &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  const ThreadBudget budget = thread_budget();
  sched_setaffinity(0, sizeof before, &before);
  EXPECT_EQ(budget.threads, 1);
  EXPECT_FALSE(budget.reason.empty());
}

class ControlGroups : public ::testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) { write_file_atomic(folder_.path() / name, text); }
  std::optional<double> quota(const std::string& membership) {
    write("membership", membership);
    return cgroup_cpu_quota(folder_.path() / "membership", folder_.path());
  }
  TemporaryFolder folder_;
};

TEST_F(ControlGroups, OfVersion2LimitByTheirQuota) {
  write("job/cpu.max", "150000 100000\n");
  EXPECT_EQ(quota("0::/job\n"), 1.5);
}

TEST_F(ControlGroups, OfVersion2LimitByTheLeastOnTheWayUp) {
  write("slice/cpu.max", "200000 100000\n");
  write("slice/job/cpu.max", "max 100000\n");
  EXPECT_EQ(quota("0::/slice/job\n"), 2.0);
}

TEST_F(ControlGroups, OfVersion2LimitFromTheRootOfAContainer) {
  write("cpu.max", "300000 100000\n");
  EXPECT_EQ(quota("0::/path/of/the/host\n"), 3.0);
}

TEST_F(ControlGroups, OfVersion1LimitByTheirQuota) {
  write("cpu,cpuacct/job/cpu.cfs_quota_us", "50000\n");
  write("cpu,cpuacct/job/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quota("12:memory:/job\n4:cpu,cpuacct:/job\n1:name=systemd:/x\n"), 0.5);
}

TEST_F(ControlGroups, OfVersion1LimitUnderTheShortName) {
  write("cpu/cpu.cfs_quota_us", "400000\n");
  write("cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quota("4:cpu,cpuacct:/docker/1\n"), 4.0);
}

TEST_F(ControlGroups, OfVersion1DoNotLimitWithMinusOne) {
  write("cpu/cpu.cfs_quota_us", "-1\n");
  write("cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quota("4:cpu:/\n"), std::nullopt);
}

TEST_F(ControlGroups, OfAnotherControllerDoNotLimit) {
  write("cpuset/cpu.cfs_quota_us", "100000\n");
  write("cpuset/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quota("4:cpuset:/\n"), std::nullopt);
}

TEST_F(ControlGroups, DoNotLimitWithoutAFile) { EXPECT_EQ(quota("0::/\n"), std::nullopt); }
TEST_F(ControlGroups, DoNotLimitWithABrokenMembership) { EXPECT_EQ(quota("nonsense\n:\n\n"), std::nullopt); }
TEST_F(ControlGroups, DoNotLimitWithABrokenQuota) {
  write("cpu.max", "many of them\n");
  EXPECT_EQ(quota("0::/\n"), std::nullopt);
}
TEST_F(ControlGroups, DoNotLimitWithoutAMembershipFile) { EXPECT_EQ(cgroup_cpu_quota("/nowhere", folder_.path()), std::nullopt); }

}  // namespace
}  // namespace microemo
