#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace microemo::parallel {

struct JobOptions {
  int64_t ranks = 1;
  int64_t attempt = 0;  ///< how often the job was started before
  std::vector<std::string>
      command;         ///< program (found in PATH when its name has no slash) and its words, the same for every rank
  double grace_s = 5;  ///< from asking a rank to end until it is killed
};

struct JobOutcome {
  int exit_code = 0;      ///< 0; 75 when ranks stopped and can be resumed; else that of the rank that failed, 5 when one hung
  std::string verdict{};  ///< which rank failed, how, and in which step and phase; empty when none did
  std::string run{};      ///< the run folder, when the ranks told it
  int64_t last_step = 0;
};

/// Called for every line that a rank writes to standard output (false) or standard error (true).
using OnLine = std::function<void(int64_t rank, bool error, const std::string& line)>;

/// Starts a program once for each rank on this machine, hosts the place where they meet, and watches them until all have ended.
/// When one dies, fails or hangs (see Watch), the others are told, asked to end and killed after grace_s. SIGTERM, SIGINT and
/// SIGUSR1 are passed on to the ranks, which have process groups of their own, once forward_signals() was called. Nothing forks:
/// LibTorch may have threads. Throws Error(environment) when a program cannot be started; none is left running then.
JobOutcome run_job(const JobOptions& options, const OnLine& on_line);

/// For the whole process, once.
void forward_signals();
/// A signal has been passed on: the user wants the job to end.
bool end_was_asked();

}  // namespace microemo::parallel
