#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "microemo/base/error.h"
#include "microemo/cli/commands.h"
#include "microemo/parallel/side_watch.h"
#include "microemo/train/run_folder.h"

namespace microemo::cli {
namespace {

/// Signals to a whole job are for the ranks, which save and end; then this ends.
void leave_signals_to_the_ranks() {
  for (const int signal_number : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGPIPE}) ::signal(signal_number, SIG_IGN);
}

void run(const std::vector<std::string>& words) {
  leave_signals_to_the_ranks();
  const auto ready = [](int64_t port) {
    std::printf("%lld\n", (long long)port);
    std::fflush(stdout);
    // Whoever waits for the end of rank 0's output does not wait for ours.
    if (std::freopen("/dev/null", "w", stdout) == nullptr) throw EnvironmentError("/dev/null cannot be opened");
  };
  const auto outcome = parallel::watch_ranks(parallel::side_watch_of(words), ready, [](const std::string& verdict) {
    std::fprintf(stderr, "watch: %s\n", verdict.c_str());
  });
  if (!outcome.verdict.empty() && !outcome.run.empty())
    train::write_outcome(outcome.run, "failed", outcome.last_step, outcome.verdict);
}

}  // namespace

void add_watch_ranks_command(CLI::App& app, int&) {
  auto words = std::make_shared<std::vector<std::string>>();
  CLI::App* command = app.add_subcommand("watch-ranks", "Watch the ranks of a training; started by its rank 0");
  command->group("");
  command->add_option("WORDS", *words);
  command->callback([words] { run(*words); });
}

}  // namespace microemo::cli
