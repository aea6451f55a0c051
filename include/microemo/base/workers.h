#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

namespace microemo {

/// Threads worth starting: the affinity mask and the cgroup quota, whichever is less, at least 1. `reason` says which, for the
/// log.
struct ThreadBudget {
  int threads = 1;
  std::string reason;
};
ThreadBudget thread_budget();

/// Processors that the control groups of a process grant it, none when they set no limit: the least quota of its group and the
/// groups above it. `membership` is its /proc/PID/cgroup, `mount` the folder of the hierarchies (versions 1 and 2).
std::optional<double> cgroup_cpu_quota(const std::filesystem::path& membership, const std::filesystem::path& mount);

/// Calls work(index, worker) for every index in [0, count) on `threads` threads (0: thread_budget), in any order. The first
/// exception stops the hand-out, waits for the others and is rethrown here. Stops handing out when stop_requested(); returns how
/// many were finished.
int64_t for_each_parallel(int64_t count, int threads, const std::function<void(int64_t index, int worker)>& work);

/// Ctrl-C, SIGTERM and SIGUSR1 ask for a stop: loops look at stop_requested() between units of work, save and return. A second Ctrl-C or
/// SIGTERM ends the process. For work that looks: without it a signal ends the process at once.
void install_stop_signals();
bool stop_requested();
/// For tests and embedding programs.
void request_stop();
void clear_stop_request();

}  // namespace microemo
