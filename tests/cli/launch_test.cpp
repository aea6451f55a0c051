// Several processes on this machine: what they compute together, and what happens when one of them fails.
#include <fcntl.h>

#include <fstream>
#include <optional>
#include <sstream>

#include "microemo/base/files.h"
#include "microemo/base/json.h"
#include "microemo/checkpoint/folder.h"
#include "support/command.h"
#include "support/errors.h"
#include "train/prepared_set.h"

namespace microemo {
namespace {

namespace fs = std::filesystem;
using test::CommandResult;
using testing::HasSubstr;

const fs::path& prepared() {
  static const TemporaryFolder folder;
  static const test::PreparedSet set(folder.path());
  return set.folder;
}

/// A launcher that runs while the test looks at it.
class Launched {
 public:
  Launched(std::vector<std::string> words, const fs::path& output) : output_(output) {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    if (::posix_spawn(&id_, words.at(0).c_str(), &actions, nullptr, test::detail::pointers(words).data(), environ) != 0)
      throw std::runtime_error("cannot start the launcher");
    posix_spawn_file_actions_destroy(&actions);
  }
  ~Launched() {
    if (id_ > 0) ::kill(id_, SIGKILL), wait();
  }

  pid_t id() const { return id_; }
  /// The process of a rank; 0 while there is none.
  pid_t rank(int64_t wanted) const {
    std::ifstream children(fmt::format("/proc/{}/task/{}/children", id_, id_));
    for (pid_t child = 0; children >> child;) {
      std::ifstream file(fmt::format("/proc/{}/environ", child), std::ios::binary);
      const std::string text{std::istreambuf_iterator<char>(file), {}};
      if (('\0' + text).find(std::string(1, '\0') + fmt::format("RANK={}", wanted) + '\0') != std::string::npos) return child;
    }
    return 0;
  }
  bool ended() {
    int status = 0;
    if (id_ <= 0 || ::waitpid(id_, &status, WNOHANG) != id_) return id_ <= 0;
    code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    id_ = 0;
    return true;
  }
  int wait() {
    while (!ended()) ::usleep(5000);
    return code_;
  }
  std::string output() const { return read_file(output_); }

 private:
  pid_t id_ = 0;
  int code_ = -1;
  fs::path output_;
};

class LaunchCommand : public testing::Test {
 protected:
  static std::vector<std::string> words(int64_t ranks, const fs::path& run, const std::vector<std::string>& more = {},
                                        const std::vector<std::string>& of_launch = {}) {
    std::vector<std::string> all = {MICROEMO_BINARY, "launch", "-n", std::to_string(ranks)};
    all.insert(all.end(), of_launch.begin(), of_launch.end());
    all.insert(all.end(), {"train", (prepared() / "train.json").string(), "--out", run.string(), "train.ranks.beat_s=0.1"});
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  static CommandResult run(const std::vector<std::string>& all) {
    return test::run_command(all,
                             {.standard_input = {}, .environment = {{"OMP_NUM_THREADS", "1"}}, .folder = {}, .timeout_s = 120});
  }
  static CommandResult shell(int64_t ranks, const std::string& script) {
    return run({MICROEMO_BINARY, "launch", "-n", std::to_string(ranks), "--", "bash", "-c", script});
  }
  static std::vector<Json> curve(const fs::path& run) {
    std::vector<Json> lines;
    if (fs::exists(run / "metrics.jsonl"))
      read_jsonl(run / "metrics.jsonl", [&](const Json& value, int64_t) { lines.push_back(value); });
    return lines;
  }
  static void expect_close(const fs::path& one, const fs::path& many) {
    const auto a = curve(one), b = curve(many);
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i)
      EXPECT_NEAR(b[i].at("loss").get<double>(), a[i].at("loss").get<double>(), 1e-5 * a[i].at("loss").get<double>()) << i;
  }
  static int64_t lines_of(const fs::path& run) {
    std::ifstream file(run / "metrics.jsonl");
    return std::count(std::istreambuf_iterator<char>(file), {}, '\n');
  }
  static int64_t newest(const fs::path& run) {
    const auto all = checkpoint::list_checkpoints(run);
    return all.empty() ? 0 : all.back().step;
  }
  /// Waits until the run has done some steps and has a checkpoint, then sends a rank a signal. Returns the step of the newest
  /// checkpoint that was there before.
  static int64_t strike(Launched& launched, const fs::path& run, int64_t rank, int signal) {
    while (!launched.ended() && (lines_of(run) < 3 || newest(run) == 0)) ::usleep(5000);
    const int64_t saved = newest(run);
    EXPECT_GT(launched.rank(rank), 0) << launched.output();
    if (launched.rank(rank) > 0) ::kill(launched.rank(rank), signal);
    return saved;
  }
  static void expect_kept(const fs::path& run, int64_t saved) {
    const auto latest = checkpoint::find_latest(run);
    ASSERT_TRUE(latest.has_value());
    EXPECT_GE(latest->step, saved);
  }
  static std::string reason(const fs::path& run) { return read_json(run / "outcome.json").at("reason").get<std::string>(); }

  TemporaryFolder folder_;
  const fs::path run_ = folder_.path() / "run", one_ = folder_.path() / "one", output_ = folder_.path() / "output";
};

TEST_F(LaunchCommand, TwoRanksTrainAsOne) {
  const CommandResult alone =
      run({MICROEMO_BINARY, "train", (prepared() / "train.json").string(), "--out", one_.string(), "train.valid_every=6"});
  ASSERT_EQ(alone.exit_code, 0) << alone.standard_error;
  const CommandResult both = run(words(2, run_, {"train.valid_every=6"}));
  ASSERT_EQ(both.exit_code, 0) << both.standard_error;
  EXPECT_THAT(both.standard_output, testing::StartsWith("finished 12 steps"));
  EXPECT_THAT(both.standard_output, testing::Not(HasSubstr("[rank 1]")));
  expect_close(one_, run_);
  EXPECT_NEAR(curve(run_)[5].at("valid_loss").get<double>(), curve(one_)[5].at("valid_loss").get<double>(), 1e-5);
  EXPECT_EQ(read_json(run_ / "environment.json").at("ranks"), 2);
  EXPECT_EQ(read_json(run_ / "outcome.json").at("outcome"), "finished");
}

TEST_F(LaunchCommand, OneRankGoesOnFromStateThatWasCutOverTwo) {
  ASSERT_EQ(run({MICROEMO_BINARY, "train", (prepared() / "train.json").string(), "--out", one_.string()}).exit_code, 0);
  const CommandResult both = run(words(2, run_, {"train.ranks.zero=1", "--stop-after-steps", "5"}));
  ASSERT_EQ(both.exit_code, exit_code_resumable) << both.standard_error;
  EXPECT_THAT(both.standard_error, HasSubstr("2 ranks, each sends 0.5 MB a step and holds 0.3 of 0.7 MB"));
  for (const char* part : {"optimizer-rank-0-of-2.safetensors", "optimizer-rank-1-of-2.safetensors"})
    EXPECT_TRUE(fs::exists(checkpoint::step_folder(run_, 5) / part)) << part;
  const CommandResult resumed = run({MICROEMO_BINARY, "train", "--resume", run_.string()});
  EXPECT_EQ(resumed.exit_code, 0) << resumed.standard_error;
  expect_close(one_, run_);
}

TEST_F(LaunchCommand, ASignalSavesAndStopsAndOneRankGoesOn) {
  ASSERT_EQ(
      run({MICROEMO_BINARY, "train", (prepared() / "train.json").string(), "--out", one_.string(), "train.steps=60"}).exit_code,
      0);
  for (const int signal : {SIGTERM, SIGUSR1}) {
    const fs::path stopped = folder_.path() / std::to_string(signal);
    Launched launched(words(2, stopped, {"train.steps=60"}), output_);
    while (!launched.ended() && lines_of(stopped) < 3) ::usleep(5000);
    if (launched.id() > 0) ::kill(launched.id(), signal);
    EXPECT_EQ(launched.wait(), exit_code_resumable) << launched.output();
    const CommandResult resumed = run({MICROEMO_BINARY, "train", "--resume", stopped.string()});
    EXPECT_EQ(resumed.exit_code, 0) << resumed.standard_error;
    EXPECT_THAT(resumed.standard_error, HasSubstr("the run goes on with 1 ranks instead of 2"));
    expect_close(one_, stopped);
  }
}

TEST_F(LaunchCommand, AKilledRankIsNamedAndTheLastCheckpointIsWhole) {
  for (const int64_t victim : {1, 0}) {
    const fs::path killed = folder_.path() / std::to_string(victim);
    Launched launched(words(2, killed, {"train.steps=100000", "train.save_every=2"}), output_);
    const int64_t saved = strike(launched, killed, victim, SIGKILL);
    EXPECT_EQ(launched.wait(), 128 + SIGKILL);
    const std::string said = fmt::format("rank {} was ended by SIGKILL in step ", victim);
    EXPECT_THAT(launched.output(), HasSubstr("launch: " + said));
    EXPECT_THAT(reason(killed), testing::AllOf(HasSubstr(said), HasSubstr("phase ")));
    expect_kept(killed, saved);
  }
}

TEST_F(LaunchCommand, AStoppedRankIsNamedPastItsLimit) {
  for (const int64_t victim : {1, 0}) {
    const fs::path stopped = folder_.path() / std::to_string(victim);
    Launched launched(
        words(2, stopped,
              {"train.steps=100000", "train.save_every=2", "train.ranks.step_limit_s=3", "train.ranks.checkpoint_limit_s=3"},
              {"--grace", "1"}),
        output_);
    const int64_t saved = strike(launched, stopped, victim, SIGSTOP);
    EXPECT_EQ(launched.wait(), exit_code(ErrorKind::environment));
    EXPECT_THAT(launched.output(), HasSubstr(fmt::format("launch: hangs: rank {} in step ", victim)));
    EXPECT_THAT(reason(stopped),
                testing::AllOf(testing::StartsWith(fmt::format("hangs: rank {} in step ", victim)), HasSubstr("silent for"),
                               testing::Not(HasSubstr(fmt::format("rank {}", 1 - victim)))));
    expect_kept(stopped, saved);
  }
}

/// A file that grows over the limit ends rank 0 in the middle of the write.
TEST_F(LaunchCommand, ARankThatDiesInACheckpointLeavesTheOneBefore) {
  ASSERT_EQ(run(words(2, run_, {"train.save_every=2", "--stop-after-steps", "2"})).exit_code, exit_code_resumable);
  const uintmax_t limit_kib = std::max(fs::file_size(run_ / "tokenizer.model"), fs::file_size(run_ / "config.yaml")) / 1024 + 8;
  const CommandResult killed = shell(2, fmt::format("ulimit -c 0; ulimit -f {}; exec {} train --resume {} --stop-after-steps 2",
                                                    limit_kib, MICROEMO_BINARY, run_.string()));
  EXPECT_EQ(killed.exit_code, 128 + SIGXFSZ) << killed.standard_error;
  EXPECT_THAT(killed.standard_error, HasSubstr("launch: rank 0 was ended by SIGXFSZ in step 4, phase checkpoint"));
  EXPECT_EQ(checkpoint::find_latest(run_)->step, 2);
  EXPECT_EQ(run({MICROEMO_BINARY, "launch", "-n", "2", "train", "--resume", run_.string()}).exit_code, 0);
}

TEST_F(LaunchCommand, StartsTheWholeJobAgainFromTheLastCheckpoint) {
  ASSERT_EQ(
      run({MICROEMO_BINARY, "train", (prepared() / "train.json").string(), "--out", one_.string(), "train.steps=60"}).exit_code,
      0);
  for (const char* zero : {"train.ranks.zero=0", "train.ranks.zero=1"}) {
    const fs::path killed = folder_.path() / zero;
    Launched launched(words(2, killed, {"train.steps=60", "train.save_every=2", zero}, {"--max-restarts", "1"}), output_);
    strike(launched, killed, 1, SIGKILL);
    EXPECT_EQ(launched.wait(), 0) << launched.output();
    EXPECT_THAT(launched.output(), testing::AllOf(HasSubstr("starting all ranks again (1 of 1)"), HasSubstr("resumed from ")));
    expect_close(one_, killed);
  }
}

TEST_F(LaunchCommand, DoesNotStartAgainWhatWouldFailAgain) {
  const CommandResult result = run(words(2, run_, {"train.stesp=1"}, {"--max-restarts", "3"}));
  EXPECT_EQ(result.exit_code, exit_code(ErrorKind::config));
  EXPECT_THAT(result.standard_error, testing::Not(HasSubstr("again")));
}

TEST_F(LaunchCommand, OneMistakeOfAllRanksIsSaidOnce) {
  const std::string said = run(words(3, run_, {"train.stesp=1"})).standard_error;
  const size_t first = said.find("train.steps");
  ASSERT_NE(first, std::string::npos) << said;
  EXPECT_EQ(said.find("'train.stesp'", said.find("'train.stesp'") + 1), std::string::npos) << said;
}

TEST_F(LaunchCommand, AnyProgramGetsItsRankAndItsOutputIsMarked) {
  const CommandResult result = shell(2, "echo $RANK of $WORLD_SIZE, $LOCAL_RANK");
  EXPECT_EQ(result.exit_code, 0) << result.standard_error;
  EXPECT_THAT(result.standard_output, testing::AllOf(HasSubstr("0 of 2, 0\n"), HasSubstr("[rank 1] 1 of 2, 1\n")));
}

TEST_F(LaunchCommand, ItsStatusIsThatOfTheRankThatFailed) {
  EXPECT_EQ(shell(3, "[ $RANK = 2 ] && exit 7; sleep 60").exit_code, 7);
  EXPECT_EQ(shell(2, "exit 75").exit_code, 75);
  EXPECT_EQ(shell(2, "[ $RANK = 1 ] && kill -9 $$; sleep 60").exit_code, 128 + SIGKILL);
}

TEST_F(LaunchCommand, RefusesNothingToLaunchAndNoNumber) {
  const CommandResult nothing = run({MICROEMO_BINARY, "launch", "-n", "2"});
  EXPECT_EQ(nothing.exit_code, exit_code(ErrorKind::config));
  EXPECT_THAT(nothing.standard_error, HasSubstr("there is nothing to launch"));
  EXPECT_EQ(run({MICROEMO_BINARY, "launch", "train"}).exit_code, exit_code(ErrorKind::config));
  const CommandResult absent = run({MICROEMO_BINARY, "launch", "-n", "2", "--", "no-such-program"});
  EXPECT_EQ(absent.exit_code, exit_code(ErrorKind::environment));
  EXPECT_THAT(absent.standard_error, HasSubstr("'no-such-program' cannot be started"));
}

TEST_F(LaunchCommand, ARankWithHalfAnEnvironmentIsRefused) {
  const CommandResult result =
      test::run_command({MICROEMO_BINARY, "train", (prepared() / "train.json").string(), "--out", run_.string()},
                        {.standard_input = {}, .environment = {{"RANK", "1"}}, .folder = {}, .timeout_s = 60});
  EXPECT_EQ(result.exit_code, exit_code(ErrorKind::environment));
  EXPECT_THAT(result.standard_error, HasSubstr("WORLD_SIZE is not set"));
  EXPECT_FALSE(fs::exists(run_));
}

/// Frozen weights that are cut over two ranks: most of a step they wait for a block from each other.
class LaunchOfShards : public LaunchCommand {
 protected:
  static constexpr int64_t saved_at = 20;
  static constexpr const char* same_for_all[] = {
      "train.ranks.shard_frozen=true", "model.decoder.layers=8", "train.frozen=[\"decoder.block*.weight\"]",
      "train.micro_batch=1",           "train.steps=60",         "train.save_every=20"};

  static std::vector<std::string> words_of(const fs::path& run, const std::string& more = "train.ranks.step_limit_s=60") {
    std::vector<std::string> all(std::begin(same_for_all), std::end(same_for_all));
    all.push_back(more);
    return words(2, run, all, {"--grace", "1"});
  }
  /// Processor time that all threads of a process have had, in clock ticks; -1 when it is gone.
  static int64_t ticks(pid_t process) {
    std::ifstream file(fmt::format("/proc/{}/stat", process));
    std::string text{std::istreambuf_iterator<char>(file), {}};
    if (text.empty()) return -1;
    std::istringstream words(text.substr(text.rfind(')') + 1));
    std::string word;
    for (int skipped = 0; skipped < 11; ++skipped) words >> word;
    int64_t user = 0, system = 0;
    words >> user >> system;
    return user + system;
  }
  /// Until it does nothing but wait. Its signs of life take next to no time.
  static void wait_until_idle(pid_t process) {
    for (int64_t before = -2, now = ticks(process); now - before > 1; before = std::exchange(now, ticks(process)))
      ::usleep(500'000);
  }
  /// Stops a rank well behind a checkpoint, and waits until the other one has run out of blocks.
  static std::pair<pid_t, pid_t> stop_in_a_gather(Launched& launched, const fs::path& run, int64_t victim) {
    while (!launched.ended() && lines_of(run) < saved_at + 2) ::usleep(2000);
    const std::pair found(launched.rank(victim), launched.rank(1 - victim));
    EXPECT_GT(std::min(found.first, found.second), 0) << launched.output();
    if (found.first > 0) ::kill(found.first, SIGSTOP);
    return found;
  }
  /// The curve without what a clock decides.
  static std::vector<Json> numbers(const fs::path& run) {
    std::vector<Json> lines = curve(run);
    for (Json& line : lines)
      for (const char* key : {"tokens_per_s", "clips_per_s", "seconds", "data_wait_s", "memory_mb"}) line.erase(key);
    return lines;
  }
  void expect_resumed_as_whole(const fs::path& run) {
    EXPECT_EQ(newest(run), saved_at);
    ASSERT_TRUE(checkpoint::find_latest(run).has_value());
    const CommandResult resumed = LaunchCommand::run({MICROEMO_BINARY, "launch", "-n", "2", "train", "--resume", run.string()});
    ASSERT_EQ(resumed.exit_code, 0) << resumed.standard_error;
    if (!fs::exists(one_)) {
      ASSERT_EQ(LaunchCommand::run(words_of(one_)).exit_code, 0);
    }
    EXPECT_EQ(numbers(run), numbers(one_));
    const auto weights = [](const fs::path& of) { return read_file(checkpoint::find_latest(of)->path / "model.safetensors"); };
    EXPECT_EQ(weights(run), weights(one_));
  }
};

TEST_F(LaunchOfShards, ADryRunTellsWhatTheFirstRankHolds) {
  std::vector<std::string> all = words_of(folder_.path() / "dry");
  all.emplace_back("--dry-run");
  const CommandResult result = LaunchCommand::run(all);
  EXPECT_EQ(result.exit_code, 0) << result.standard_error;
  EXPECT_THAT(result.standard_output, testing::AllOf(HasSubstr("\ndecoder  "), HasSubstr("nothing was written")));
  EXPECT_THAT(result.standard_error, HasSubstr("MB of the decoder's frozen weights"));
  EXPECT_FALSE(fs::exists(folder_.path() / "dry"));
}

TEST_F(LaunchOfShards, ARankThatDiesWhileItIsWaitedForIsNamedAndTheRunGoesOnAsIfItHadNot) {
  for (const int64_t victim : {1, 0}) {
    const fs::path killed = folder_.path() / std::to_string(victim);
    Launched launched(words_of(killed), output_);
    const auto [dying, other] = stop_in_a_gather(launched, killed, victim);
    wait_until_idle(other);
    ::kill(dying, SIGKILL);
    EXPECT_EQ(launched.wait(), 128 + SIGKILL);
    EXPECT_EQ(::kill(other, 0), -1) << "it is still there";
    EXPECT_THAT(launched.output(), testing::ContainsRegex(fmt::format(
                                       "launch: rank {} was ended by SIGKILL in step [23][0-9], phase step", victim)));
    EXPECT_THAT(reason(killed), HasSubstr(fmt::format("rank {} was ended by SIGKILL in step ", victim)));
    expect_resumed_as_whole(killed);
  }
}

TEST_F(LaunchOfShards, ARankThatStopsWhileItIsWaitedForIsNamedPastItsLimit) {
  for (const int64_t victim : {1, 0}) {
    const fs::path stopped = folder_.path() / std::to_string(victim);
    Launched launched(words_of(stopped, "train.ranks.step_limit_s=3"), output_);
    const auto [hanging, other] = stop_in_a_gather(launched, stopped, victim);
    EXPECT_EQ(launched.wait(), exit_code(ErrorKind::environment));
    EXPECT_EQ(::kill(hanging, 0), -1) << "it is still there";
    EXPECT_EQ(::kill(other, 0), -1) << "it is still there";
    EXPECT_THAT(launched.output(),
                testing::ContainsRegex(fmt::format("launch: hangs: rank {} in step [23][0-9], phase step for ", victim)));
    EXPECT_THAT(reason(stopped), testing::Not(HasSubstr(fmt::format("rank {}", 1 - victim))));
    expect_resumed_as_whole(stopped);
  }
}

}  // namespace
}  // namespace microemo
