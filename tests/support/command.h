#pragma once
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

extern char** environ;

namespace microemo::test {

struct CommandOptions {
  std::string standard_input{};
  std::map<std::string, std::string> environment{};  ///< added to the test's own; an empty value removes the name
  std::filesystem::path folder{};                    ///< where it runs; the test's own when empty
  double timeout_s = 120;
};

struct CommandResult {
  int exit_code = -1;  ///< 128 + signal when a signal ended it
  bool timed_out = false;
  double peak_memory_mb = 0;  ///< resident, in MiB
  std::string standard_output, standard_error;
};

namespace detail {

struct Pipe {
  int read = -1, write = -1;
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
    read = ends[0];
    write = ends[1];
  }
  ~Pipe() {
    close_end(read);
    close_end(write);
  }
  static void close_end(int& end) {
    if (end >= 0) ::close(end);
    end = -1;
  }
};

inline std::vector<std::string> merged_environment(const std::map<std::string, std::string>& changes) {
  std::vector<std::string> merged;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    if (!changes.contains(text.substr(0, text.find('=')))) merged.push_back(text);
  }
  for (const auto& [name, value] : changes)
    if (!value.empty()) merged.push_back(name + "=" + value);
  return merged;
}

inline std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

inline pid_t spawn(std::vector<std::string> arguments, const CommandOptions& options, Pipe& in, Pipe& out, Pipe& err) {
  std::vector<std::string> environment = merged_environment(options.environment);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in.read, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out.write, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err.write, STDERR_FILENO);
  if (!options.folder.empty()) posix_spawn_file_actions_addchdir_np(&actions, options.folder.c_str());
  // The caller ignores SIGPIPE while it feeds the child, and whoever started the tests may ignore it too; the program must not.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t defaults;
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  pid_t child = -1;
  const int failure = posix_spawnp(&child, arguments.at(0).c_str(), &actions, &attributes, pointers(arguments).data(),
                                   pointers(environment).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (failure != 0) throw std::runtime_error("cannot start " + arguments[0] + ": " + std::strerror(failure));
  Pipe::close_end(in.read);
  Pipe::close_end(out.write);
  Pipe::close_end(err.write);
  return child;
}

/// Feeds and drains the pipes together, so that neither side waits for the other. False when the time is over.
inline bool exchange(Pipe& in, Pipe& out, Pipe& err, std::string_view input, CommandResult& result, double timeout_s) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::duration<double>(timeout_s);
  ::fcntl(in.write, F_SETFL, O_NONBLOCK);
  if (input.empty()) Pipe::close_end(in.write);
  while (out.read >= 0 || err.read >= 0) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
    if (left <= 0) return false;
    pollfd ends[] = {{out.read, POLLIN, 0}, {err.read, POLLIN, 0}, {in.write, POLLOUT, 0}};
    if (::poll(ends, 3, static_cast<int>(left)) < 0) continue;
    if ((ends[2].revents & POLLERR) != 0)
      Pipe::close_end(in.write);
    else if ((ends[2].revents & POLLOUT) != 0) {
      const ssize_t written = ::write(in.write, input.data(), input.size());
      if (written > 0) input.remove_prefix(static_cast<size_t>(written));
      if (written < 0 || input.empty()) Pipe::close_end(in.write);
    }
    const auto drain = [](const pollfd& end, int& descriptor, std::string& text) {
      char piece[4096];
      if ((end.revents & (POLLIN | POLLHUP | POLLERR)) == 0) return;
      const ssize_t got = ::read(descriptor, piece, sizeof piece);
      if (got > 0)
        text.append(piece, static_cast<size_t>(got));
      else
        Pipe::close_end(descriptor);
    };
    drain(ends[0], out.read, result.standard_output);
    drain(ends[1], err.read, result.standard_error);
  }
  return true;
}

}  // namespace detail

/// Runs a program (found in PATH when its name has no slash) to its end and returns what it wrote. One that runs longer than the
/// timeout is killed. Throws std::runtime_error when it cannot be started.
inline CommandResult run_command(const std::vector<std::string>& arguments, const CommandOptions& options = {}) {
  detail::Pipe in, out, err;
  const auto before = ::signal(SIGPIPE, SIG_IGN);
  CommandResult result;
  const pid_t child = detail::spawn(arguments, options, in, out, err);
  result.timed_out = !detail::exchange(in, out, err, options.standard_input, result, options.timeout_s);
  if (result.timed_out) ::kill(child, SIGKILL);
  int status = 0;
  rusage usage{};
  while (::wait4(child, &status, 0, &usage) < 0 && errno == EINTR) {
  }
  ::signal(SIGPIPE, before);
  result.peak_memory_mb = static_cast<double>(usage.ru_maxrss) / 1024;
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

/// Starts a program whose standard output nobody reads, waits until it is stuck in printing more than 4096 bytes, and sends it a
/// signal. Returns its exit code as run_command does; 128 + SIGKILL when the signal did not end it.
inline int interrupt_printing(std::vector<std::string> arguments, int signal) {
  detail::Pipe out;
  ::fcntl(out.write, F_SETPIPE_SZ, 4096);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, out.write, STDOUT_FILENO);
  pid_t child = -1;
  const int failure =
      ::posix_spawn(&child, arguments.at(0).c_str(), &actions, nullptr, detail::pointers(arguments).data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failure != 0) return -1;
  int status = 0, waiting = 0;
  bool ended = false;
  while (waiting < 4096 && !(ended = ::waitpid(child, &status, WNOHANG) == child)) {
    ::usleep(2000);
    ::ioctl(out.read, FIONREAD, &waiting);
  }
  if (!ended) ::kill(child, signal);
  for (int i = 0; !ended && i < 5000; ++i) {
    ::usleep(2000);
    ended = ::waitpid(child, &status, WNOHANG) == child;
  }
  if (!ended) {
    ::kill(child, SIGKILL);
    ::waitpid(child, &status, 0);
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/// Starts a program, waits until `ready` (or its end) and sends it a signal. Returns its exit code as run_command does.
template <class Ready>
int interrupt_command(std::vector<std::string> arguments, int signal, Ready ready) {
  pid_t child = -1;
  if (::posix_spawn(&child, arguments.at(0).c_str(), nullptr, nullptr, detail::pointers(arguments).data(), environ) != 0)
    return -1;
  int status = 0;
  bool ended = false;
  while (!ready() && !(ended = ::waitpid(child, &status, WNOHANG) == child)) ::usleep(2000);
  if (!ended) {
    ::kill(child, signal);
    ::waitpid(child, &status, 0);
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace microemo::test
