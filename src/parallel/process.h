#pragma once
#include <sys/types.h>

#include <array>
#include <string>
#include <vector>

#include "microemo/parallel/launch_context.h"

namespace microemo::parallel {

/// A rank that runs: its process, and what it writes.
struct Process {
  struct Stream {
    int descriptor = -1;
    std::string rest{};  ///< of a line that has not ended
  };
  pid_t id = -1;
  std::array<Stream, 2> streams{};  ///< standard output, standard error
  bool ended = false;
  int status = 0;  ///< exit code, or 128 + signal
  bool by_signal = false;
};

/// Starts a program with these variables on top of our own, without those that launchers set, an empty standard input, and a
/// process group of its own: Ctrl-C at a terminal reaches us alone. Throws Error(environment).
Process start_process(const std::vector<std::string>& command, const Variables& variables);

/// Looks whether it has ended; true when it has just now.
bool reap(Process& process);

/// Reads what is there without waiting; gives whole lines. At the end of a stream also the rest.
std::vector<std::string> read_lines(Process::Stream& stream);

}  // namespace microemo::parallel
