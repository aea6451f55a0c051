#pragma once
#include <filesystem>
#include <functional>
#include <memory>

#include "microemo/train/trainer.h"
#include "parallel/ranks.h"

namespace microemo::test {

/// Trains with so many ranks, threads of this process; what rank 0 says in the end.
inline train::RunOutcome train_ranks(int64_t world, const std::function<train::Task(const parallel::Group&)>& task,
                                     const train::TrainOptions& options, const std::filesystem::path& run, int64_t most_steps,
                                     const std::filesystem::path& resume_from) {
  std::filesystem::create_directories(run);
  train::RunOutcome outcome;
  run_ranks(world, [&](parallel::Group& group) {
    const auto shared = std::shared_ptr<parallel::Group>(&group, [](parallel::Group*) {});
    train::Trainer trainer(task(group), options, run, resume_from, shared);
    const train::RunOutcome own = trainer.run(most_steps);
    if (group.first()) outcome = own;
  });
  return outcome;
}

}  // namespace microemo::test
