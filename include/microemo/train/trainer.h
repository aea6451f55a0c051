#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "microemo/parallel/group.h"
#include "microemo/train/checkpoints.h"
#include "microemo/train/metrics.h"
#include "microemo/train/optimizer.h"
#include "microemo/train/options.h"
#include "microemo/train/step.h"

namespace microemo::train {

struct RunOutcome {
  bool finished = false;  ///< false: stopped before the last step, saved, can be resumed
  int64_t step = 0;       ///< updates done
  std::filesystem::path checkpoint;
  bool early = false;      ///< finished, as validations were no better (train.patience)
  int64_t best_step = -1;  ///< of the lowest loss of validation; -1 without any
};

/// What one step takes, from trying it.
struct StepCost {
  double seconds = 0;        ///< of a second step; the first one also warms caches
  double flop_per_clip = 0;  ///< see FlopCounter
  int64_t clips = 0, rows = 0;
  double peak_memory_mb = 0;  ///< of the process so far
};

/// Trainable and frozen parameters by top-level module, as a text table.
std::string parameter_table(const torch::nn::Module& module);

/// Trains the module of a task, step by step, into a run folder. Among several ranks each has a trainer, every call is made by
/// all, and rank 0 alone writes. One thread at a time.
class Trainer {
 public:
  /// Chooses what is trained (see select_trainable). With a checkpoint, goes on from it, bit for bit as if it had never stopped;
  /// with another number of ranks with the same data in the same order. Throws Error(config) and Error(checkpoint), and
  /// Error(environment) when the ranks begin with different weights.
  Trainer(Task task, const TrainOptions& options, const std::filesystem::path& run, const std::filesystem::path& resume_from = {},
          std::shared_ptr<parallel::Group> group = std::make_shared<parallel::Group>());

  /// Until the last step, or until stop_requested() (on any rank) or `most_steps` (0: no limit) are done in this call,
  /// or the next step would not end before `most_seconds` (0: no limit) of it; then
  /// saves. Throws Error(data) that names step and clips when the loss or the gradient is not finite; weights and the last
  /// checkpoint stay as they were before that step.
  RunOutcome run(int64_t most_steps = 0, double most_seconds = 0);

  /// Runs forward and backward of the next step twice and changes nothing.
  StepCost try_step();

  const TrainState& state() const { return state_; }

 private:
  MetricsLine train_step();
  void update(MetricsLine& line, const std::vector<model::ClipBatch>& batches);
  void report_first_step(double flop, int64_t clips);
  void save(MetricsFile& metrics);

  std::shared_ptr<parallel::Group> group_;
  Task task_;
  TrainOptions options_;
  AdamW optimizer_;
  parallel::GradientReducer reducer_;
  Checkpoints checkpoints_;
  TrainState state_;
  std::filesystem::path run_;
  bool reported_ = false;
  int64_t skipped_in_a_row_ = 0;
};

}  // namespace microemo::train
