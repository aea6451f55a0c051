#pragma once
#include <cstdint>
#include <functional>
#include <string>

namespace microemo {

/// Threads worth starting: the affinity mask and the cgroup quota, whichever is less, at least 1. `reason` says which, for the log.
struct ThreadBudget {
  int threads = 1;
  std::string reason;
};
ThreadBudget thread_budget();

/// Calls work(index, worker) for every index in [0, count) on `threads` threads (0: thread_budget), in any order. The first exception stops
/// the hand-out, waits for the others and is rethrown here. Stops handing out when stop_requested(); returns how many were finished.
int64_t for_each_parallel(int64_t count, int threads, const std::function<void(int64_t index, int worker)>& work);

/// Ctrl-C and SIGTERM ask for a stop: loops look at stop_requested() between units of work, save and return. A second signal ends the process.
void install_stop_signals();
bool stop_requested();
/// For tests and embedding programs.
void request_stop();
void clear_stop_request();

}  // namespace microemo
