#pragma once

namespace microemo::cli {

/// The whole program: parses the words, runs the command, prints errors to standard error and returns the exit code (see exit_code in
/// base/error.h; 75 when a signal stopped work that can be resumed).
int run(int argument_count, char** arguments);

}  // namespace microemo::cli
