#pragma once
#include <string>

namespace microemo::cli {

/// When the exception that is being handled says that memory could not be had, throws Error(environment) "out of memory while
/// DOING" with the next step; otherwise returns. Call it in a catch block.
void rethrow_out_of_memory(const char* doing, const std::string& next_step);

/// Runs a part of a command's work, so that an error about memory names it. `doing` follows "while", as in "building the model".
template <class Work>
auto with_memory_for(const char* doing, const std::string& next_step, Work&& work) {
  try {
    return work();
  } catch (...) {
    rethrow_out_of_memory(doing, next_step);
    throw;
  }
}

/// Prints whatever exception is being handled as a message of this program and returns its exit code: no backtraces, and no
/// other form than Error's.
int report_current_exception();

}  // namespace microemo::cli
