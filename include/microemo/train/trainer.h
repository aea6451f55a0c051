#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "microemo/parallel/group.h"
#include "microemo/train/batches_ahead.h"
#include "microemo/train/checkpoints.h"
#include "microemo/train/metrics.h"
#include "microemo/train/optimizer.h"
#include "microemo/train/options.h"
#include "microemo/train/step.h"
#include "microemo/train/validation.h"

namespace microemo::train {

struct RunOutcome {
  bool finished = false;  ///< false: stopped before the last step, saved, can be resumed
  int64_t step = 0;       ///< updates done
  std::filesystem::path checkpoint;
  bool early = false;          ///< finished, as validations were no better (train.patience)
  int64_t best_step = -1;      ///< of the best validation (train.best_metric); -1 without any
  double longest_stall_s = 0;  ///< that a checkpoint took from the steps; without the last one, which is waited for
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
  /// saves, and returns when the checkpoint is there. Throws Error(data) that names step and clips when the loss or the gradient
  /// is not finite; weights and the last checkpoint stay as they were before that step. Throws Error(environment) when a
  /// checkpoint cannot be written, behind the step that was at work then.
  RunOutcome run(int64_t most_steps = 0, double most_seconds = 0);

  /// Runs forward and backward of a step's batches twice and changes nothing.
  StepCost try_step(const std::vector<model::ClipBatch>& batches);

  const TrainState& state() const { return state_; }

 private:
  MetricsLine train_step();
  void update(MetricsLine& line, const std::vector<model::ClipBatch>& batches);
  void report_first_step(double flop, int64_t clips);
  void validate_model(MetricsLine& line);
  void note_validation(const ValidationResult& result);
  bool stops_or_saves(bool stop);
  void resume(const std::filesystem::path& checkpoint);
  void report_ranks() const;
  void save();
  Trained all_trained() { return {*task_.module, optimizer_, average_, task_.shards.get()}; }

  std::shared_ptr<parallel::Group> group_;
  Task task_;
  TrainOptions options_;
  AdamW optimizer_;
  WeightAverage average_;
  parallel::GradientReducer reducer_;
  BatchesAhead batches_;
  std::optional<MetricsFile> metrics_;  ///< of rank 0 while it runs; outlives the writer of checkpoints, which syncs it
  Checkpoints checkpoints_;
  BestMetric best_metric_;
  TrainState state_;
  std::filesystem::path run_;
  bool reported_ = false;
  double longest_stall_s_ = 0;
  int64_t skipped_in_a_row_ = 0;
};

}  // namespace microemo::train
