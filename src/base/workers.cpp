#include "microemo/base/workers.h"

#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <exception>
#include <fstream>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "microemo/base/error.h"

namespace microemo {
namespace {

namespace fs = std::filesystem;

int affinity_count() {
  // The kernel refuses a mask that is smaller than its own; double it until it fits.
  for (int processors = 1024; processors <= 1 << 20; processors *= 2) {
    cpu_set_t* mask = CPU_ALLOC(processors);
    const size_t size = CPU_ALLOC_SIZE(processors);
    const bool known = mask != nullptr && sched_getaffinity(0, size, mask) == 0;
    const int count = known ? CPU_COUNT_S(size, mask) : 0;
    CPU_FREE(mask);
    if (known) return std::max(1, count);
  }
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

/// "150000 100000" is a quota and its period in microseconds; "max" and "-1" mean none.
std::optional<double> ratio(const std::string& quota, double period) {
  if (quota.empty() || quota == "max" || quota.front() == '-' || period <= 0) return std::nullopt;
  return std::strtod(quota.c_str(), nullptr) / period;
}

std::optional<double> quota_of_v2(const fs::path& folder) {
  std::string quota;
  double period = 0;
  std::ifstream(folder / "cpu.max") >> quota >> period;
  return ratio(quota, period);
}

std::optional<double> quota_of_v1(const fs::path& folder) {
  std::string quota;
  double period = 0;
  std::ifstream(folder / "cpu.cfs_quota_us") >> quota;
  std::ifstream(folder / "cpu.cfs_period_us") >> period;
  return ratio(quota, period);
}

/// The least quota on the way from the group to the root of the hierarchy: each of them limits. In a container the group's path
/// may be the host's and absent here; the walk then starts at what there is.
template <class Quota>
std::optional<double> least_quota(const fs::path& mount, fs::path group, const Quota& quota_of) {
  std::optional<double> least;
  for (;; group = group.parent_path()) {
    const std::optional<double> quota = quota_of(group.empty() ? mount : mount / group);
    if (quota && (!least || *quota < *least)) least = quota;
    if (group.empty()) return least;
  }
}

bool names_cpu(const std::string& controllers) { return ("," + controllers + ",").find(",cpu,") != std::string::npos; }

std::atomic<bool> stop_flag{false};
std::atomic<bool> signalled{false};
static_assert(std::atomic<bool>::is_always_lock_free, "used in a signal handler");

void on_stop_signal(int signal_number) {
  stop_flag = true;
  if (!signalled.exchange(true)) return;
  ::signal(signal_number, SIG_DFL);
  ::raise(signal_number);
}

/// Batch systems announce the end of the granted time with it, and send SIGTERM later: that is no second request to stop.
void on_notice(int) { stop_flag = true; }

/// What the threads of one for_each_parallel share.
struct Handout {
  const int64_t count;
  const std::function<void(int64_t, int)>& work;
  std::atomic<int64_t> next{0}, finished{0};
  std::atomic<bool> failed{false};
  std::mutex mutex{};
  std::exception_ptr failure{};

  void fail(std::exception_ptr reason) {
    const std::lock_guard lock(mutex);
    if (!failure) failure = std::move(reason);
    failed = true;
  }

  void run(int worker) {
    while (!failed && !stop_requested()) {
      const int64_t index = next++;
      if (index >= count) return;
      try {
        work(index, worker);
        ++finished;
      } catch (...) {
        fail(std::current_exception());
      }
    }
  }
};

}  // namespace

std::optional<double> cgroup_cpu_quota(const fs::path& membership, const fs::path& mount) {
  std::optional<double> least;
  std::ifstream file(membership);
  for (std::string line; std::getline(file, line);) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const fs::path group = fs::path(line.substr(second + 1)).relative_path();
    std::optional<double> quota;
    if (controllers.empty()) quota = least_quota(mount, group, quota_of_v2);
    if (names_cpu(controllers)) quota = least_quota(mount / controllers, group, quota_of_v1);
    if (names_cpu(controllers) && !quota) quota = least_quota(mount / "cpu", group, quota_of_v1);
    if (quota && (!least || *quota < *least)) least = quota;
  }
  return least;
}

ThreadBudget thread_budget() {
  const int allowed = affinity_count();
  const std::optional<double> quota = cgroup_cpu_quota("/proc/self/cgroup", "/sys/fs/cgroup");
  if (!quota || *quota >= allowed) return {allowed, fmt::format("affinity mask of {} processors", allowed)};
  return {std::max(1, static_cast<int>(std::floor(*quota))), fmt::format("cgroup quota of {:.2f} processors", *quota)};
}

int64_t for_each_parallel(int64_t count, int threads, const std::function<void(int64_t index, int worker)>& work) {
  Handout handout{.count = count, .work = work};
  const int64_t wanted = std::min<int64_t>(threads > 0 ? threads : thread_budget().threads, count);
  std::vector<std::jthread> others;
  try {
    for (int worker = 1; worker < wanted; ++worker) others.emplace_back([&handout, worker] { handout.run(worker); });
  } catch (const std::system_error& refused) {
    handout.fail(std::make_exception_ptr(
        EnvironmentError("thread {} of {} cannot be started: {}", others.size() + 2, wanted, refused.what())
            .hint("ask for fewer threads, or raise the limit on processes")));
  }
  handout.run(0);
  others.clear();
  if (handout.failure) std::rethrow_exception(handout.failure);
  return handout.finished;
}

void install_stop_signals() {
  struct sigaction action {};
  action.sa_handler = on_stop_signal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  action.sa_handler = on_notice;
  ::sigaction(SIGUSR1, &action, nullptr);
}

bool stop_requested() { return stop_flag; }
void request_stop() { stop_flag = true; }
void clear_stop_request() {
  stop_flag = false;
  signalled = false;
}

}  // namespace microemo
