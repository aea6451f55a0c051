#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "microemo/parallel/launch_context.h"
#include "microemo/parallel/options.h"
#include "microemo/parallel/watch.h"

namespace microemo::parallel {

/// The thread that gives the signs of life of a rank and looks for a verdict.
class Heartbeat {
 public:
  Heartbeat(const LaunchContext& context, const RankOptions& options, std::function<void(const std::string&)> on_verdict);
  ~Heartbeat();

  /// What the thread tells at its end: one of the farewells.
  void leave(const char* farewell) { farewell_ = farewell; }
  /// True when the phase is another than before.
  bool enter(Phase phase, int64_t step);
  /// The next sign of life.
  Beat now();
  void wait_begins() { waiting_ = true; }
  void wait_ends() { waiting_ = false; }
  Phase phase() const { return phase_; }
  int64_t step() const { return step_; }

 private:
  void run();
  bool pause();
  void say(const std::string& verdict);

  LaunchContext context_;
  RankOptions options_;
  std::function<void(const std::string&)> on_verdict_;
  std::atomic<Phase> phase_{Phase::start};
  std::atomic<int64_t> step_{0};
  std::atomic<std::chrono::steady_clock::rep> since_;
  std::atomic<bool> waiting_{false};
  std::atomic<const char*> farewell_;
  std::atomic<int64_t> number_{0};
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::jthread thread_;
};

}  // namespace microemo::parallel
