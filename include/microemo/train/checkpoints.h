#pragma once
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <limits>

#include <torch/nn/module.h>

#include "microemo/train/optimizer.h"
#include "microemo/train/options.h"

namespace microemo::train {

/// All that a run is at a step, besides its weights and the optimizer's state: everything random is a function of the step.
struct TrainState {
  int64_t step = 0;    ///< updates done
  double seconds = 0;  ///< spent on them
  double best_valid_loss = std::numeric_limits<double>::infinity();
  int64_t best_step = -1;         ///< of that loss; -1 before the first validation
  int64_t worse_validations = 0;  ///< since then
};

/// Saves a run into RUN/checkpoints: model.safetensors, optimizer.safetensors, state.json, and what describes the run.
class Checkpoints {
 public:
  Checkpoints(std::filesystem::path run, const TrainOptions& options);

  /// Where the run goes on from: a step that lies in its folder already is not saved again.
  void resumed_from(const std::filesystem::path& checkpoint, const TrainState& state);
  /// After so many steps, or minutes since the last save or the start, or with keep_best at the best step.
  bool due(const TrainState& state) const;
  /// Then removes old ones (keep_last), but for the best with keep_best. Does nothing when this step was saved last. Throws
  /// Error(environment); the checkpoints that exist stay as they are.
  std::filesystem::path save(const TrainState& state, const torch::nn::Module& module, const AdamW& optimizer);

 private:
  std::filesystem::path run_;
  int64_t save_every_, keep_last_, saved_step_ = -1;
  double save_minutes_;
  bool keep_best_;
  std::chrono::steady_clock::time_point saved_at_ = std::chrono::steady_clock::now();
};

/// Fills module and optimizer from a checkpoint folder, exactly. Throws Error(checkpoint).
TrainState load_checkpoint(const std::filesystem::path& checkpoint, torch::nn::Module& module, AdamW& optimizer);

}  // namespace microemo::train
