#pragma once
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include <torch/nn/module.h>

#include "microemo/checkpoint/folder.h"
#include "microemo/checkpoint/tensors.h"
#include "microemo/parallel/frozen_shards.h"
#include "microemo/parallel/group.h"
#include "microemo/train/average.h"
#include "microemo/train/background.h"
#include "microemo/train/optimizer.h"
#include "microemo/train/options.h"

namespace microemo::train {

/// All that a run is at a step, besides its weights and the optimizer's state: everything random is a function of the step.
struct TrainState {
  int64_t step = 0;    ///< updates done
  double seconds = 0;  ///< spent on them
  std::string best_metric = {};
  double best_value = 0;          ///< of that metric
  int64_t best_step = -1;         ///< of that value; -1 before the first validation
  int64_t worse_validations = 0;  ///< since then
};

/// What a checkpoint is made of.
struct Trained {
  torch::nn::Module& module;
  AdamW& optimizer;
  WeightAverage& average;
  parallel::FrozenShards* shards = nullptr;  ///< that hold some of the module's frozen weights
};

/// Saves a run into RUN/checkpoints: model.safetensors, ema.safetensors (with train.ema), optimizer.safetensors, state.json, and
/// what describes the run. A thread writes: save() copies what the next steps change into buffers that it keeps, and returns.
///
/// Rank 0 writes. With train.ranks.zero=1 every rank writes its part of the optimizer's state,
/// optimizer-rank-R-of-N.safetensors, and tells rank 0 its size and hash; the manifest, which makes the checkpoint whole, comes
/// last and has those of all ranks.
class Checkpoints {
 public:
  /// Called by all ranks.
  Checkpoints(std::filesystem::path run, const TrainOptions& options, parallel::Group& group);
  Checkpoints(std::filesystem::path run, const TrainOptions& options);

  /// Where the run goes on from: a step that lies in its folder already is not saved again.
  void resumed_from(const std::filesystem::path& checkpoint, const TrainState& state);
  /// After so many steps, or minutes since the last save or the start, or with keep_best at the best step.
  bool due(const TrainState& state) const;
  /// With parts of several ranks: that every rank sees the run folder. Called by all ranks. Throws Error(environment) on all of
  /// them, naming those that do not.
  void check_folder(const parallel::Group& group) const;
  /// Makes and fills the buffers, so that the first save() takes no longer than the others.
  void prepare(const Trained& trained);
  /// Whether save() does anything on this rank.
  bool writes() const { return rank_ == 0 || parts_ > 1; }
  /// Begins a checkpoint, once the one before is written; throws what that one ended with. Frozen parameters and buffers are read
  /// while the run goes on. `before` is called by the thread before it writes. When the checkpoint has its name, old ones are
  /// removed (keep_last), but for the best with keep_best. Does nothing when this step was saved last. Called by all ranks at the
  /// same steps.
  void save(const TrainState& state, const Trained& trained, std::function<void()> before = {});
  /// Waits until the last checkpoint is there. Throws Error(environment) when it cannot be written; the checkpoints that exist
  /// stay as they are.
  void wait();
  /// wait() when that costs no time: for the error of a checkpoint that has failed.
  void check() {
    if (writer_.ended()) wait();
  }

 private:
  struct Snapshot {
    TrainState state;
    checkpoint::NamedTensors model, optimizer, average;
    const parallel::FrozenShards* shards = nullptr;
  };
  void take(const TrainState& state, const Trained& trained);
  void take_weights(const Trained& trained);
  void write_first(const std::stop_token& stop) const;
  void write_model(const std::filesystem::path& file) const;
  void write_part(const std::stop_token& stop) const;
  std::map<std::string, checkpoint::FileFacts> other_parts(const std::stop_token& stop) const;

  std::filesystem::path run_;
  int64_t save_every_, keep_last_, saved_step_ = -1;
  double save_minutes_;
  bool keep_best_;
  int64_t rank_ = 0, parts_ = 1;
  double limit_s_ = 0;                    ///< that parts are waited for
  std::shared_ptr<parallel::Mail> mail_;  ///< with more than one part
  std::chrono::steady_clock::time_point saved_at_ = std::chrono::steady_clock::now();
  Snapshot snapshot_;  ///< read by the thread until it ends
  Background writer_;
};

/// Waits until no checkpoint of this process is being written, at most so long; false when one still is. For a thread that is
/// about to end the process. Any thread.
bool checkpoints_are_written(double most_s);

/// Fills weights, optimizer and average from a checkpoint folder, exactly, whatever number of ranks has written it. An average
/// that it does not hold begins with the weights. Throws Error(checkpoint), naming a part that is missing or that its manifest
/// does not name.
TrainState load_checkpoint(const std::filesystem::path& checkpoint, const Trained& trained);

}  // namespace microemo::train
