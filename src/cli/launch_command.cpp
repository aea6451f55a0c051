#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "microemo/base/error.h"
#include "microemo/cli/commands.h"
#include "microemo/parallel/job.h"
#include "microemo/train/run_folder.h"

namespace microemo::cli {
namespace {

struct Words {
  int64_t ranks = 0, max_restarts = 0;
  double grace_s = 5;
};

/// Rank 0 speaks for all: lines of the others carry their rank, and what one has said on standard error none says again.
class Printer {
 public:
  void operator()(int64_t rank, bool error, const std::string& line) {
    if (error && !line.empty() && said_.size() < most_lines && said_.try_emplace(line, rank).first->second != rank) return;
    std::FILE* to = error ? stderr : stdout;
    if (rank == 0)
      std::fprintf(to, "%s\n", line.c_str());
    else
      std::fprintf(to, "[rank %lld] %s\n", (long long)rank, line.c_str());
    std::fflush(to);
  }

 private:
  static constexpr size_t most_lines = 100000;
  std::map<std::string, int64_t> said_;
};

/// What would fail again: the user's words, data or files.
bool worth_a_restart(int code) {
  for (const ErrorKind kind : {ErrorKind::config, ErrorKind::data, ErrorKind::checkpoint})
    if (code == exit_code(kind)) return false;
  return true;
}

/// The run folder's own record names the rank; the ranks that survived could not.
void record(const parallel::JobOutcome& outcome) {
  if (outcome.run.empty()) return;
  try {
    train::write_outcome(outcome.run, "failed", outcome.last_step, outcome.verdict);
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
  }
}

/// A command of this program by its bare name, or any program.
std::vector<std::string> full_command(const CLI::App& app, std::vector<std::string> words) {
  if (words.empty())
    throw ConfigError("there is nothing to launch")
        .at("command line")
        .hint("microemo launch -n 2 train CONFIG …, or -n 2 -- PROGRAM …");
  for (const CLI::App* own : app.get_subcommands({}))
    if (own->get_name() == words.front()) {
      words.insert(words.begin(), "/proc/self/exe");
      break;
    }
  return words;
}

int run(const Words& words, const std::vector<std::string>& command) {
  parallel::forward_signals();
  Printer printer;
  for (int64_t attempt = 0;; ++attempt) {
    const auto outcome =
        parallel::run_job({.ranks = words.ranks, .attempt = attempt, .command = command, .grace_s = words.grace_s},
                          [&](int64_t rank, bool error, const std::string& line) { printer(rank, error, line); });
    if (outcome.verdict.empty()) return outcome.exit_code;
    record(outcome);
    std::fprintf(stderr, "launch: %s\n", outcome.verdict.c_str());
    if (attempt == words.max_restarts || parallel::end_was_asked() || !worth_a_restart(outcome.exit_code))
      return outcome.exit_code;
    std::fprintf(stderr, "launch: starting all ranks again (%lld of %lld)\n", (long long)(attempt + 1),
                 (long long)words.max_restarts);
  }
}

}  // namespace

void add_launch_command(CLI::App& app, int& status) {
  auto words = std::make_shared<Words>();
  CLI::App* command = app.add_subcommand("launch", "Start several ranks of a command on this machine and look after them");
  command->prefix_command()->fallthrough(false);
  command->add_option("-n,--ranks", words->ranks, "Processes to start")->required()->check(CLI::Range(1, 4096));
  command->add_option("--max-restarts", words->max_restarts, "Start the whole job again so often when a rank dies or hangs")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--grace", words->grace_s, "Seconds from asking a rank to end until it is killed")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->footer(
      "SIGTERM, Ctrl-C and SIGUSR1 are passed on: the ranks of a training save, stop and exit with code 75. When a rank dies or\n"
      "hangs, it is named with its last step and phase, and all end; the last checkpoint stays whole. A training that is "
      "started\n"
      "again goes on from it.\n"
      "\nExamples:\n"
      "  microemo launch -n 2 train train.yaml --out runs/one\n"
      "  microemo launch -n 8 --max-restarts 3 train --resume runs/one\n"
      "  microemo launch -n 2 -- ./program words");
  command->callback([&app, command, words, &status] { status = run(*words, full_command(app, command->remaining())); });
}

}  // namespace microemo::cli
