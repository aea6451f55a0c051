#include "microemo/parallel/job.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <optional>

#include "microemo/base/error.h"
#include "microemo/parallel/host.h"
#include "process.h"

namespace microemo::parallel {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::array forwarded = {SIGTERM, SIGINT, SIGUSR1};
std::array<std::atomic<int>, forwarded.size()> arrived{};
std::atomic<bool> asked{false};

void on_signal(int signal_number) {
  for (size_t i = 0; i < forwarded.size(); ++i)
    if (forwarded[i] == signal_number) ++arrived[i];
  asked = true;
}

constexpr int milliseconds_between_looks = 20;
constexpr double seconds_between_beats_read = 0.1;
/// A grandchild may hold the pipes of a rank that has ended.
constexpr double last_lines_s = 1;

class Job {
 public:
  Job(const JobOptions& options, const OnLine& on_line)
      : options_(options), on_line_(on_line), host_(options.ranks, options.attempt), watch_(options.ranks) {}

  ~Job() {
    kill_all(SIGKILL);
    while (!all_ended()) look(), ::usleep(1000);
    for (Process& process : processes_)
      for (auto& stream : process.streams)
        if (stream.descriptor >= 0) ::close(stream.descriptor);
  }

  JobOutcome run() {
    for (int64_t rank = 0; rank < options_.ranks; ++rank)
      processes_.push_back(start_process(options_.command, variables_of(host_.context(rank))));
    while (!all_ended()) {
      wait_for_lines();
      look();
      pass_on_signals();
      judge();
    }
    const double end_s = now_s() + last_lines_s;
    while (any_stream() && now_s() < end_s) wait_for_lines();
    return outcome();
  }

 private:
  double now_s() const { return std::chrono::duration<double>(Clock::now() - began_).count(); }

  bool all_ended() const {
    for (const Process& process : processes_)
      if (!process.ended) return false;
    return true;
  }
  bool any_stream() const {
    for (const Process& process : processes_)
      for (const auto& stream : process.streams)
        if (stream.descriptor >= 0) return true;
    return false;
  }

  void kill_all(int signal_number) {
    for (const Process& process : processes_)
      if (!process.ended) ::kill(process.id, signal_number);
  }

  void wait_for_lines() {
    std::vector<pollfd> ends;
    for (const Process& process : processes_)
      for (const auto& stream : process.streams)
        if (stream.descriptor >= 0) ends.push_back({stream.descriptor, POLLIN, 0});
    ::poll(ends.data(), ends.size(), milliseconds_between_looks);
    for (size_t rank = 0; rank < processes_.size(); ++rank)
      for (size_t i = 0; i < 2; ++i)
        for (const std::string& line : read_lines(processes_[rank].streams[i]))
          on_line_(static_cast<int64_t>(rank), i == 1, line);
  }

  void pass_on_signals() {
    for (size_t i = 0; i < forwarded.size(); ++i)
      for (int count = arrived[i].exchange(0); count > 0; --count) kill_all(forwarded[i]);
  }

  /// Those that ended since the last look. Where several did, the one that a signal ended has taken the others with it, and one
  /// with another reason than lost ranks goes before those.
  void look() {
    std::optional<int64_t> first;
    const auto weight = [this](int64_t rank) {
      const Process& process = processes_[static_cast<size_t>(rank)];
      return process.by_signal ? 2 : process.status != exit_code(ErrorKind::environment) ? 1 : 0;
    };
    for (int64_t rank = 0; rank < static_cast<int64_t>(processes_.size()); ++rank) {
      Process& process = processes_[static_cast<size_t>(rank)];
      if (!reap(process)) continue;
      watch_.ended(rank);
      if (process.status == 0 || process.status == exit_code_resumable) continue;
      if (!first || weight(rank) > weight(*first)) first = rank;
    }
    if (!first || !outcome_.verdict.empty()) return;
    read_beats();
    const Process& process = processes_[static_cast<size_t>(*first)];
    fail(process.status,
         process.by_signal
             ? fmt::format("rank {} was ended by SIG{} {}", *first, ::sigabbrev_np(process.status - 128), watch_.last_of(*first))
             : fmt::format("rank {} ended with exit code {} {}", *first, process.status, watch_.last_of(*first)));
  }

  void read_beats() {
    for (int64_t rank = 0; rank < options_.ranks; ++rank)
      if (const auto beat = host_.beat(rank)) watch_.see(rank, *beat, now_s());
    if (outcome_.run.empty()) outcome_.run = host_.told("run");
  }

  void judge() {
    if (!outcome_.verdict.empty()) {
      if (now_s() > kill_s_) kill_all(SIGKILL);
      return;
    }
    if (now_s() < next_beats_s_) return;
    next_beats_s_ = now_s() + seconds_between_beats_read;
    read_beats();
    if (const auto verdict = watch_.verdict(now_s())) fail(exit_code(ErrorKind::environment), *verdict);
  }

  void fail(int code, const std::string& verdict) {
    outcome_.exit_code = code;
    outcome_.verdict = verdict;
    host_.announce(verdict);
    kill_all(SIGTERM);
    kill_s_ = now_s() + options_.grace_s;
  }

  JobOutcome outcome() {
    outcome_.last_step = watch_.last_step();
    if (!outcome_.verdict.empty()) return outcome_;
    for (const Process& process : processes_)
      if (process.status != 0) outcome_.exit_code = process.status;
    return outcome_;
  }

  const JobOptions options_;
  const OnLine on_line_;
  const Clock::time_point began_ = Clock::now();
  Host host_;
  Watch watch_;
  std::vector<Process> processes_;
  JobOutcome outcome_;
  double kill_s_ = 0, next_beats_s_ = 0;
};

}  // namespace

JobOutcome run_job(const JobOptions& options, const OnLine& on_line) { return Job(options, on_line).run(); }

void forward_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (const int signal_number : forwarded) ::sigaction(signal_number, &action, nullptr);
}

bool end_was_asked() { return asked; }

}  // namespace microemo::parallel
