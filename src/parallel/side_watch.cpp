#include "microemo/parallel/side_watch.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <thread>

#include <fmt/ranges.h>

#include "key_server.h"
#include "microemo/base/error.h"
#include "microemo/parallel/watch.h"
#include "network.h"
#include "store.h"

namespace microemo::parallel {
namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* this_machine = "127.0.0.1";
constexpr const char* place_key = "watcher";
constexpr std::chrono::milliseconds between_looks{100};
constexpr double answer_s = 30;
/// A rank that lost the others is not the one to name: that one may be seen a moment later.
constexpr double before_blaming_the_bereaved_s = 2;
/// From the verdict until the last rank has left; one that is stopped never does.
constexpr double last_farewell_s = 15;

class SideWatcher {
 public:
  explicit SideWatcher(const SideWatch& options)
      : options_(options), server_(options.port, options.this_machine_only), watch_(options.ranks) {
    store_ = connect_store({.world = options.ranks,
                            .address = this_machine,
                            .port = server_.port(),
                            .hosted = true,
                            .attempt = options.attempt,
                            .watched = true,
                            .launcher = {}},
                           answer_s);
  }

  int64_t port() const { return server_.port(); }

  SideWatchOutcome run(const std::function<void(const std::string&)>& on_verdict) {
    while (!over()) {
      std::this_thread::sleep_for(between_looks);
      read_signs();
      if (!outcome_.verdict.empty()) continue;
      if (const auto verdict = judge()) {
        outcome_.verdict = *verdict;
        verdict_s_ = now_s();
        outcome_.last_step = watch_.last_step();
        on_verdict(*verdict);
        set_text(*store_, verdict_key, *verdict);
      }
    }
    outcome_.last_step = watch_.last_step();
    return outcome_;
  }

 private:
  double now_s() const { return std::chrono::duration<double>(Clock::now() - began_).count(); }

  std::string text_at(const std::string& key) { return store_->check({key}) ? get_text(*store_, key) : std::string(); }

  void read_signs() {
    for (int64_t rank = 0; rank < options_.ranks; ++rank) {
      if (const auto beat = parse_beat(text_at(key_of("beat", rank)))) {
        watch_.see(rank, *beat, now_s());
        seen_.insert(rank);
      }
      const std::string left = text_at(key_of("left", rank));
      if (left.empty() || !left_.emplace(rank, left).second) continue;
      watch_.ended(rank);
      if (left == farewell_lost && bereaved_s_ == 0) bereaved_s_ = now_s();
    }
    if (outcome_.run.empty()) outcome_.run = text_at("told/run");
  }

  std::string those_who(const char* farewell, const char* did) const {
    std::vector<std::string> ranks;
    for (const auto& [rank, left] : left_)
      if (left == farewell) ranks.push_back(fmt::format("rank {} {} {}", rank, did, watch_.last_of(rank)));
    return fmt::format("{}", fmt::join(ranks, "; "));
  }

  std::optional<std::string> judge() const {
    if (const std::string dead = those_who(farewell_gone, "died"); !dead.empty()) return dead;
    if (const std::string failed = those_who(farewell_failed, "failed"); !failed.empty()) return failed;
    if (bereaved_s_ > 0 && now_s() > bereaved_s_ + before_blaming_the_bereaved_s)
      return those_who(farewell_lost, "lost the others");
    return watch_.verdict(now_s());
  }

  bool over() const {
    if (!outcome_.verdict.empty()) return left_.size() >= seen_.size() || now_s() > verdict_s_ + last_farewell_s;
    if (seen_.empty()) return now_s() > options_.start_limit_s;
    const auto ended_well = [](const auto& one) { return one.second == farewell_ended; };
    return int64_t(left_.size()) == options_.ranks && std::all_of(left_.begin(), left_.end(), ended_well);
  }

  const SideWatch options_;
  const Clock::time_point began_ = Clock::now();
  KeyServer server_;
  c10::intrusive_ptr<c10d::Store> store_;
  Watch watch_;
  SideWatchOutcome outcome_;
  std::map<int64_t, std::string> left_;
  std::set<int64_t> seen_;
  double bereaved_s_ = 0, verdict_s_ = 0;
};

/// A child with our environment and standard error, in a session of its own, that signals to our group do not reach. Returns the
/// end of the pipe from its standard output.
int start(std::vector<std::string> words, pid_t& child) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw EnvironmentError("no pipe can be made: {}", std::strerror(errno));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  const int failure = ::posix_spawnp(&child, pointers[0], &actions, &attributes, pointers.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  ::close(ends[1]);
  if (failure == 0) return ends[0];
  ::close(ends[0]);
  throw EnvironmentError("the process that watches the ranks cannot be started: {}", std::strerror(failure)).at(words[0]);
}

/// The first line of the child's output; the port, or nothing when the child has ended.
int64_t read_port(int descriptor) {
  std::string line;
  char one = 0;
  for (ssize_t got = 0; (got = ::read(descriptor, &one, 1)) != 0;) {
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 || one == '\n') break;
    line += one;
  }
  ::close(descriptor);
  int64_t port = 0;
  std::from_chars(line.data(), line.data() + line.size(), port);
  return port;
}

int64_t start_watcher(const SideWatch& options, std::vector<std::string> command) {
  for (const std::string& word : words_of(options)) command.push_back(word);
  pid_t child = 0;
  const int64_t port = read_port(start(command, child));
  if (port > 0) return port;
  ::waitpid(child, nullptr, 0);
  throw EnvironmentError("the process that watches the ranks has ended before they met")
      .at(fmt::format("port {}", options.port))
      .hint("its message is above; where the port is taken, set MASTER_PORT to a free one for all ranks");
}

int64_t number(const std::string& word, const std::string& name) {
  int64_t value = -1;
  const auto [end, failure] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (failure != std::errc() || end != word.data() + word.size() || value < 0)
    throw ConfigError("'{}' is no {}", word, name).at("command line").hint("this command is started by rank 0 alone");
  return value;
}

}  // namespace

std::vector<std::string> words_of(const SideWatch& options) {
  return {std::to_string(options.ranks), std::to_string(options.attempt), std::to_string(options.port),
          options.this_machine_only ? "1" : "0", std::to_string(int64_t(options.start_limit_s))};
}

SideWatch side_watch_of(const std::vector<std::string>& words) {
  constexpr size_t expected = 5;
  if (words.size() != expected)
    throw ConfigError("{} words, and {} are needed", words.size(), expected)
        .at("command line")
        .hint("this command is started by rank 0 alone");
  return {.ranks = number(words[0], "number of ranks"),
          .attempt = number(words[1], "number of the attempt"),
          .port = number(words[2], "port"),
          .this_machine_only = number(words[3], "0 or 1") == 1,
          .start_limit_s = double(number(words[4], "number of seconds"))};
}

SideWatchOutcome watch_ranks(const SideWatch& options, const std::function<void(int64_t)>& ready,
                             const std::function<void(const std::string&)>& on_verdict) {
  SideWatcher watcher(options);
  ready(watcher.port());
  return watcher.run(on_verdict);
}

LaunchContext with_side_watch(const LaunchContext& context, std::vector<std::string> command, double start_limit_s) {
  if (context.world == 1 || context.watched) return context;
  LaunchContext watched = context;
  watched.hosted = watched.watched = true;
  if (context.rank == 0) {
    // Where a launcher hosts a store, ours has a place of its own, which is told there.
    if (context.hosted) watched.address = own_address(context);
    watched.port = start_watcher({.ranks = context.world,
                                  .attempt = context.attempt,
                                  .port = context.hosted ? 0 : context.port,
                                  .this_machine_only = leads_to_this_machine_alone(watched.address),
                                  .start_limit_s = start_limit_s},
                                 std::move(command));
  }
  if (!context.hosted) return watched;
  const auto store = connect_store(context, start_limit_s);
  if (context.rank == 0) set_text(*store, place_key, fmt::format("{} {}", watched.address, watched.port));
  std::istringstream place(get_text(*store, place_key));
  place >> watched.address >> watched.port;
  return watched;
}

}  // namespace microemo::parallel
