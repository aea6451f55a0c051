#include "microemo/cli/shortened_files.h"

#include <signal.h>
#include <unistd.h>

#include <cstring>

#include "microemo/base/error.h"
#include "microemo/formats/mapped_file.h"

namespace microemo::cli {
namespace {

void put(const char* text) {
  // Nothing can be done in a signal handler about a message that cannot be written.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text, std::strlen(text));
}

void explain(int, siginfo_t* facts, void*) {
  const char* file = formats::mapped_file_at(facts->si_addr);
  if (file == nullptr) {
    // The instruction runs again, and the signal then does what it always does.
    ::signal(SIGBUS, SIG_DFL);
    return;
  }
  put("error: a file became shorter while it was read, or its disk no longer gives it\n  where  ");
  put(file);
  put("\n  next   fetch or write the file again, and let nothing change it meanwhile\n");
  ::_exit(exit_code(ErrorKind::checkpoint));
}

}  // namespace

void end_with_message_when_a_mapped_file_is_shortened() {
  struct sigaction action {};
  action.sa_sigaction = explain;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGBUS, &action, nullptr);
}

}  // namespace microemo::cli
