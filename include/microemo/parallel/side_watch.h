#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "microemo/parallel/launch_context.h"

// Under torchrun, srun and mpirun, or when ranks are started by hand, a process beside rank 0 does what microemo launch does for
// its ranks: it hosts the place where they meet and watches their signs of life. It lives on when any rank dies, rank 0 too.

namespace microemo::parallel {

struct SideWatch {
  int64_t ranks = 1, attempt = 0;
  int64_t port = 0;                ///< 0: a free one
  bool this_machine_only = false;  ///< no rank is on another one
  double start_limit_s = 600;      ///< that the first rank is waited for
};

struct SideWatchOutcome {
  std::string verdict{};  ///< which rank died, failed or hangs, in which step and phase; empty when none did
  std::string run{};      ///< the run folder, when the ranks told it
  int64_t last_step = 0;
};

/// The words that start a process with these options, behind its command; and back. Throws Error(config) for others.
std::vector<std::string> words_of(const SideWatch& options);
SideWatch side_watch_of(const std::vector<std::string>& words);

/// What that process does: takes the port and tells it to `ready`, then watches until all ranks have ended. On a verdict it calls
/// `on_verdict` at once, lets all ranks know, and waits for their end some time longer. Throws Error(environment) when the port
/// is taken.
SideWatchOutcome watch_ranks(const SideWatch& options, const std::function<void(int64_t port)>& ready,
                             const std::function<void(const std::string& verdict)>& on_verdict);

/// Called by every rank before it makes its Group: rank 0 starts `command` with words_of behind it, which has to write the port
/// of `ready` as a line to its standard output, in a session of its own. Returns the context that all ranks then meet with; the
/// same as before for one process and under microemo launch. Throws Error(environment) when the process does not start.
LaunchContext with_side_watch(const LaunchContext& context, std::vector<std::string> command, double start_limit_s);

}  // namespace microemo::parallel
