#include "process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "microemo/base/error.h"

namespace microemo::parallel {
namespace {

bool of_a_launcher(const std::string& name) {
  for (const char* prefix : {"OMPI_COMM_WORLD_", "PMI_", "PMIX_", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_NTASKS", "SLURM_STEP_",
                             "TORCHELASTIC_", "MPI_LOCAL"})
    if (name.starts_with(prefix)) return true;
  return false;
}

std::vector<std::string> child_environment(const Variables& changes) {
  Variables merged = environment_variables();
  std::erase_if(merged, [](const auto& item) { return of_a_launcher(item.first); });
  // Ranks that wait must not take the processors from those that work. Warnings of c10d about broken connections hide the message
  // that says who broke them.
  merged.try_emplace("OMP_WAIT_POLICY", "passive");
  merged.try_emplace("TORCH_CPP_LOG_LEVEL", "ERROR");
  for (const auto& [name, value] : changes) merged[name] = value;
  std::vector<std::string> texts;
  for (const auto& [name, value] : merged) texts.push_back(name + "=" + value);
  return texts;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

struct Pipe {
  int read = -1, write = -1;
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0)
      throw EnvironmentError("no pipe can be made: {}", std::strerror(errno)).hint("raise the limit on open files (ulimit -n)");
    read = ends[0];
    write = ends[1];
    ::fcntl(read, F_SETFL, O_NONBLOCK);
  }
  ~Pipe() {
    if (read >= 0) ::close(read);
    ::close(write);
  }
  int take_read() { return std::exchange(read, -1); }
};

}  // namespace

Process start_process(const std::vector<std::string>& command, const Variables& variables) {
  std::vector<std::string> words = command, environment = child_environment(variables);
  Pipe out, err;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out.write, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err.write, STDERR_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t defaults;
  sigemptyset(&defaults);
  for (const int signal : {SIGPIPE, SIGTERM, SIGINT, SIGUSR1}) sigaddset(&defaults, signal);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  Process process;
  const int failure = ::posix_spawnp(&process.id, words.at(0).c_str(), &actions, &attributes, pointers(words).data(),
                                     pointers(environment).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (failure != 0)
    throw EnvironmentError("'{}' cannot be started: {}", words[0], std::strerror(failure))
        .hint("name a program behind --, or a command of microemo such as train");
  process.streams[0].descriptor = out.take_read();
  process.streams[1].descriptor = err.take_read();
  return process;
}

bool reap(Process& process) {
  int status = 0;
  if (process.ended || ::waitpid(process.id, &status, WNOHANG) != process.id) return false;
  process.ended = true;
  process.by_signal = WIFSIGNALED(status);
  process.status = process.by_signal ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return true;
}

std::vector<std::string> read_lines(Process::Stream& stream) {
  std::vector<std::string> lines;
  char piece[65536];
  while (stream.descriptor >= 0) {
    const ssize_t got = ::read(stream.descriptor, piece, sizeof piece);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) break;
    if (got <= 0) {
      ::close(std::exchange(stream.descriptor, -1));
      if (!stream.rest.empty()) stream.rest += '\n';
    } else {
      stream.rest.append(piece, static_cast<size_t>(got));
    }
    for (size_t end = 0; (end = stream.rest.find('\n')) != std::string::npos; stream.rest.erase(0, end + 1))
      lines.push_back(stream.rest.substr(0, end));
  }
  return lines;
}

}  // namespace microemo::parallel
