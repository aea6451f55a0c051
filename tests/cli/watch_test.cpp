// Ranks that another launcher started, whose environment is set here by hand: who looks after them, and what happens when one
// fails.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <fstream>

#include "microemo/base/files.h"
#include "microemo/base/json.h"
#include "microemo/checkpoint/folder.h"
#include "support/command.h"
#include "support/errors.h"
#include "train/prepared_set.h"

namespace microemo {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using Environment = std::map<std::string, std::string>;

const fs::path& prepared() {
  static const TemporaryFolder folder;
  static const test::PreparedSet set(folder.path());
  return set.folder;
}

/// A port that nobody listens at just now.
int free_port() {
  const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  ::bind(descriptor, reinterpret_cast<const sockaddr*>(&address), length);
  ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &length);
  ::close(descriptor);
  return ntohs(address.sin_port);
}

Environment by_hand(int64_t rank, int64_t world) {
  static const int port = free_port();
  return {{"RANK", std::to_string(rank)},
          {"WORLD_SIZE", std::to_string(world)},
          {"MASTER_ADDR", "127.0.0.1"},
          {"MASTER_PORT", std::to_string(port)}};
}

Environment of_srun(int64_t rank, int64_t world) {
  static const int port = free_port();
  return {{"SLURM_PROCID", std::to_string(rank)},
          {"SLURM_LOCALID", std::to_string(rank)},
          {"SLURM_NTASKS", std::to_string(world)},
          {"SLURM_STEP_ID", "0"},
          {"SLURM_JOB_ID", std::to_string(::getpid())},
          {"SLURM_JOB_NODELIST", "127.0.0.1"},
          {"SLURM_JOB_NUM_NODES", "1"},
          {"MASTER_PORT", std::to_string(port)}};
}

Environment of_mpirun(int64_t rank, int64_t world) {
  static const int port = free_port();
  return {{"OMPI_COMM_WORLD_RANK", std::to_string(rank)},
          {"OMPI_COMM_WORLD_SIZE", std::to_string(world)},
          {"OMPI_COMM_WORLD_LOCAL_RANK", std::to_string(rank)},
          {"OMPI_COMM_WORLD_LOCAL_SIZE", std::to_string(world)},
          {"MASTER_PORT", std::to_string(port)}};
}

/// Processes of one job; what they say goes into one file.
class Ranks {
 public:
  Ranks(int64_t world, Environment (*environment)(int64_t, int64_t), const std::vector<std::string>& words,
        const fs::path& output)
      : output_(output) {
    std::ofstream(output_).close();
    for (int64_t rank = 0; rank < world; ++rank) start(words, environment(rank, world));
  }
  ~Ranks() {
    for (size_t rank = 0; rank < ids_.size(); ++rank)
      if (codes_[rank] < 0) ::kill(ids_[rank], SIGKILL);
    for (size_t rank = 0; rank < ids_.size(); ++rank) wait(rank);
  }

  pid_t id(size_t rank) const { return ids_.at(rank); }
  int wait(size_t rank) {
    int status = 0;
    if (codes_[rank] < 0 && ::waitpid(ids_[rank], &status, 0) == ids_[rank])
      codes_[rank] = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return codes_[rank];
  }
  std::string output() const { return read_file(output_); }

 private:
  void start(std::vector<std::string> words, const Environment& environment) {
    std::vector<std::string> texts = {"OMP_NUM_THREADS=1", "PATH=" + std::string(std::getenv("PATH"))};
    for (const auto& [name, value] : environment) texts.push_back(name + "=" + value);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, output_.c_str(), O_WRONLY | O_APPEND, 0644);
    posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    pid_t id = 0;
    if (::posix_spawn(&id, words.at(0).c_str(), &actions, nullptr, test::detail::pointers(words).data(),
                      test::detail::pointers(texts).data()) != 0)
      throw std::runtime_error("cannot start a rank");
    posix_spawn_file_actions_destroy(&actions);
    ids_.push_back(id);
    codes_.push_back(-1);
  }

  fs::path output_;
  std::vector<pid_t> ids_;
  std::vector<int> codes_;
};

class WatchedFromTheSide : public testing::Test {
 protected:
  std::vector<std::string> words(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> all = {MICROEMO_BINARY, "train",       (prepared() / "train.json").string(),
                                    "--out",         run_.string(), "train.ranks.beat_s=0.1"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  std::vector<std::string> endless(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> all = words({"train.steps=100000", "train.save_every=2"});
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  int64_t lines() const {
    std::ifstream file(run_ / "metrics.jsonl");
    return std::count(std::istreambuf_iterator<char>(file), {}, '\n');
  }
  int64_t newest() const {
    const auto all = checkpoint::list_checkpoints(run_);
    return all.empty() ? 0 : all.back().step;
  }
  /// And for a checkpoint.
  void wait_for_steps() const {
    while (lines() < 4 || newest() == 0) ::usleep(5000);
  }
  std::string reason() const { return read_json(run_ / "outcome.json").at("reason").get<std::string>(); }
  /// The watcher writes it when the last rank has gone, and then ends itself.
  void wait_for_reason(const std::string& part) const {
    for (int i = 0; i < 4000; ++i, ::usleep(5000))
      if (fs::exists(run_ / "outcome.json") && reason().find(part) != std::string::npos) return;
    ADD_FAILURE() << "the reason is '" << reason() << "'";
  }
  bool watcher_is_there() const {
    const std::string mark = std::string("watch-ranks") + '\0';
    for (const auto& entry : fs::directory_iterator("/proc")) {
      std::ifstream file(entry.path() / "cmdline", std::ios::binary);
      const std::string text{std::istreambuf_iterator<char>(file), {}};
      std::ifstream parent(entry.path() / "environ", std::ios::binary);
      const std::string environment{std::istreambuf_iterator<char>(parent), {}};
      if (text.find(mark) != std::string::npos && environment.find(mark_of_this_job_) != std::string::npos) return true;
    }
    return false;
  }

  void a_killed_rank_is_named(Environment (*environment)(int64_t, int64_t), size_t victim) {
    Ranks ranks(3, environment, endless(), output_);
    wait_for_steps();
    const int64_t saved = newest();
    ::kill(ranks.id(victim), SIGKILL);
    const std::string said = fmt::format("rank {} died in step ", victim);
    for (size_t rank = 0; rank < 3; ++rank)
      EXPECT_EQ(ranks.wait(rank), rank == victim ? 128 + SIGKILL : exit_code(ErrorKind::environment)) << ranks.output();
    wait_for_reason(said);
    EXPECT_THAT(ranks.output(), HasSubstr("watch: " + said));
    EXPECT_THAT(reason(), HasSubstr("phase "));
    const auto latest = checkpoint::find_latest(run_);
    ASSERT_TRUE(latest.has_value());
    EXPECT_GE(latest->step, saved);
  }

  TemporaryFolder folder_;
  const fs::path run_ = folder_.path() / "run", output_ = folder_.path() / "output";
  std::string mark_of_this_job_;
};

TEST_F(WatchedFromTheSide, RanksTrainAsEverAndTheWatcherGoesWithThem) {
  mark_of_this_job_ = "MASTER_PORT=" + by_hand(0, 2).at("MASTER_PORT");
  Ranks ranks(2, by_hand, words(), output_);
  for (size_t rank = 0; rank < 2; ++rank) EXPECT_EQ(ranks.wait(rank), 0) << ranks.output();
  EXPECT_EQ(lines(), 12);
  EXPECT_THAT(ranks.output(), testing::Not(HasSubstr("watch:")));
  for (int i = 0; i < 4000 && watcher_is_there(); ++i) ::usleep(5000);
  EXPECT_FALSE(watcher_is_there());
  EXPECT_EQ(read_json(run_ / "outcome.json").at("outcome"), "finished");
}

TEST_F(WatchedFromTheSide, AKilledRankIsNamedWhenStartedByHand) { a_killed_rank_is_named(by_hand, 1); }
TEST_F(WatchedFromTheSide, AKilledRankIsNamedUnderSrun) { a_killed_rank_is_named(of_srun, 2); }
TEST_F(WatchedFromTheSide, AKilledRankIsNamedUnderMpirun) { a_killed_rank_is_named(of_mpirun, 1); }
TEST_F(WatchedFromTheSide, AKilledRank0IsNamedUnderSrun) { a_killed_rank_is_named(of_srun, 0); }

TEST_F(WatchedFromTheSide, AStoppedRankIsNamedPastItsLimit) {
  Ranks ranks(2, of_srun, endless({"train.ranks.step_limit_s=3"}), output_);
  wait_for_steps();
  ::kill(ranks.id(1), SIGSTOP);
  EXPECT_EQ(ranks.wait(0), exit_code(ErrorKind::environment)) << ranks.output();
  EXPECT_THAT(ranks.output(), HasSubstr("watch: hangs: rank 1 in step "));
  ::kill(ranks.id(1), SIGCONT);
  EXPECT_EQ(ranks.wait(1), exit_code(ErrorKind::environment)) << ranks.output();
  wait_for_reason("hangs: rank 1 in step ");
}

TEST_F(WatchedFromTheSide, ARankThatFailsIsNamed) {
  Ranks ranks(2, of_mpirun, endless(), output_);
  wait_for_steps();
  // Its checkpoints fail: no folder can be made where a file lies.
  fs::rename(run_ / "checkpoints", folder_.path() / "aside");
  std::ofstream(run_ / "checkpoints").close();
  for (size_t rank = 0; rank < 2; ++rank) EXPECT_EQ(ranks.wait(rank), exit_code(ErrorKind::environment)) << ranks.output();
  wait_for_reason("rank 0 failed in step ");
  // Making the folder fails, or a file in it: the path is the same.
  EXPECT_THAT(ranks.output(), HasSubstr("where  " + (run_ / "checkpoints").string()));
}

TEST_F(WatchedFromTheSide, ASignalToAllSavesAndStops) {
  Ranks ranks(2, of_srun, endless(), output_);
  wait_for_steps();
  for (size_t rank = 0; rank < 2; ++rank) ::kill(ranks.id(rank), SIGTERM);
  for (size_t rank = 0; rank < 2; ++rank) EXPECT_EQ(ranks.wait(rank), exit_code_resumable) << ranks.output();
  EXPECT_EQ(reason(), "a signal");
}

TEST_F(WatchedFromTheSide, APortThatIsTakenIsAnErrorBeforeAnythingBegins) {
  const int port = std::stoi(by_hand(0, 2).at("MASTER_PORT")), taken = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(uint16_t(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::bind(taken, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(taken, 1), 0);
  const auto result =
      test::run_command(words(), {.standard_input = {}, .environment = by_hand(0, 2), .folder = {}, .timeout_s = 60});
  ::close(taken);
  EXPECT_EQ(result.exit_code, exit_code(ErrorKind::environment));
  EXPECT_THAT(result.standard_error, HasSubstr(fmt::format("the ranks cannot meet at port {}", port)));
  EXPECT_THAT(result.standard_error, HasSubstr("set MASTER_PORT to a free one"));
  EXPECT_FALSE(fs::exists(run_));
}

TEST_F(WatchedFromTheSide, TheWatcherRefusesOtherWords) {
  for (const std::vector<std::string>& some :
       {std::vector<std::string>{}, {"2", "0", "0", "1"}, {"2", "0", "0", "1", "x"}, {"-2", "0", "0", "1", "5"}}) {
    std::vector<std::string> all = {MICROEMO_BINARY, "watch-ranks"};
    all.insert(all.end(), some.begin(), some.end());
    EXPECT_EQ(test::run_command(all).exit_code, exit_code(ErrorKind::config));
  }
}

/// Under torchrun itself, whose agent hosts a store in which the watcher's place is told.
class WatchedUnderTorchrun : public WatchedFromTheSide {
 protected:
  void SetUp() override {
    if (test::run_command({"/bin/sh", "-c", "command -v torchrun"}).exit_code != 0) GTEST_SKIP() << "torchrun is not in PATH";
  }
  /// Two ranks, of which the second is killed after some steps.
  test::CommandResult train(const std::string& of_torchrun, const std::vector<std::string>& more) const {
    std::string script = fmt::format("torchrun --no-python --nproc-per-node 2 --master-port {} {} ", free_port(), of_torchrun);
    for (const std::string& word : words(more)) script += word + " ";
    // torchrun does not tell which process is which rank.
    script += fmt::format(
        R"sh(& job=$!
while [ "$(cat {0}/metrics.jsonl 2>/dev/null | wc -l)" -lt 4 ]; do sleep 0.05; done
for p in $(pgrep -f 'train .*--out {0}'); do tr '\0' '\n' < /proc/$p/environ | grep -qx RANK=1 && kill -9 $p; done
wait $job)sh",
        run_.string());
    return test::run_command({"/bin/bash", "-c", script},
                             {.standard_input = {}, .environment = {{"OMP_NUM_THREADS", "1"}}, .folder = {}, .timeout_s = 200});
  }
};

TEST_F(WatchedUnderTorchrun, AKilledRankIsNamed) {
  const auto result = train("", {"train.steps=100000"});
  EXPECT_NE(result.exit_code, 0);
  EXPECT_THAT(result.standard_error, HasSubstr("watch: rank 1 died in step "));
  wait_for_reason("rank 1 died in step ");
}

TEST_F(WatchedUnderTorchrun, ARestartGoesOnFromTheLastCheckpoint) {
  const auto result = train("--max-restarts 1", {"train.steps=300", "train.save_every=2"});
  EXPECT_EQ(result.exit_code, 0) << result.standard_error;
  EXPECT_THAT(result.standard_error, testing::AllOf(HasSubstr("watch: rank 1 died in step "), HasSubstr("resumed from ")));
  EXPECT_EQ(lines(), 300);
}

/// Two machines as two network namespaces with one cable between them, which is then cut.
TEST_F(WatchedFromTheSide, ACutNetworkEndsBothSidesAndNamesTheRankBeyondIt) {
  if (test::run_command({"/bin/sh", "-c", "command -v unshare nsenter ip && unshare -r -n -m true"}).exit_code != 0)
    GTEST_SKIP() << "no right to make network namespaces, or unshare, nsenter or ip is missing";
  const std::string train =
      fmt::format("{} train {} --out {} train.ranks.beat_s=0.1 train.ranks.step_limit_s=3 train.steps=100000", MICROEMO_BINARY,
                  (prepared() / "train.json").string(), run_.string());
  const std::string script = fmt::format(R"sh(
set -e
ip link set lo up
unshare -n sleep 1000 & other=$!
while [ "$(readlink /proc/$other/ns/net)" = "$(readlink /proc/self/ns/net)" ]; do sleep 0.01; done
ip link add near type veth peer name far netns $other
ip addr add 10.77.0.1/24 dev near && ip link set near up
nsenter -t $other -n sh -c 'ip link set lo up; ip addr add 10.77.0.2/24 dev far; ip link set far up'
export OMP_NUM_THREADS=1 WORLD_SIZE=2 LOCAL_RANK=0 LOCAL_WORLD_SIZE=1 MASTER_ADDR=10.77.0.1 MASTER_PORT=29555
set +e
RANK=0 {0} & first=$!
RANK=1 nsenter -t $other -n {0} & second=$!
while [ "$(cat {1}/metrics.jsonl 2>/dev/null | wc -l)" -lt 4 ]; do sleep 0.05; kill -0 $first || exit 99; done
ip link set near down
wait $first; echo "rank 0: $?"
wait $second; echo "rank 1: $?"
kill $other
)sh",
                                         train, run_.string());
  const auto result = test::run_command({"unshare", "-r", "-n", "-m", "bash", "-c", script},
                                        {.standard_input = {}, .environment = {}, .folder = {}, .timeout_s = 200});
  const std::string code = std::to_string(exit_code(ErrorKind::environment));
  EXPECT_THAT(result.standard_output, testing::AllOf(HasSubstr("rank 0: " + code), HasSubstr("rank 1: " + code)))
      << result.standard_error;
  EXPECT_THAT(result.standard_error, testing::AllOf(HasSubstr("watch: hangs: rank 1 in step "), HasSubstr("silent for")));
  wait_for_reason("hangs: rank 1 in step ");
}

}  // namespace
}  // namespace microemo
