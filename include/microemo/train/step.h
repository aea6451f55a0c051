#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include "microemo/model/clip_batch.h"
#include "microemo/model/microemo.h"
#include "microemo/parallel/frozen_shards.h"
#include "microemo/parallel/gradient_reducer.h"
#include "microemo/train/options.h"

namespace microemo::train {

/// Items that each term of the loss counts in a batch, by the term's name.
using TermCounts = std::map<std::string, double>;

/// What is trained: a module, where its batches come from, and its loss. Every function is a pure function of its argument (and
/// of the module's weights). Among several ranks each has a task of its own, with its part of every step.
struct Task {
  std::shared_ptr<torch::nn::Module> module;
  std::function<std::vector<model::ClipBatch>(int64_t step)> batches;  ///< micro-batches of a step
  std::function<model::BatchLoss(const model::ClipBatch&)> loss;
  std::function<TermCounts(const model::ClipBatch&)> counts;  ///< the counts that `loss` will report, without computing it
  int64_t validation_batches = 0;
  std::function<model::ClipBatch(int64_t index)> validation_batch = {};
  /// Sums and counts of F over answers to every world-th clip of a validation from rank on, one pair for each headline grouping
  /// of the wheel; empty: validations answer nothing.
  std::function<std::vector<std::pair<double, double>>(int64_t rank, int64_t world)> answer_scores = {};
  Normalise normalise = Normalise::tokens;
  at::Device device = at::kCPU;                         ///< where the module is trained; the trainer brings it there
  std::vector<std::string> terms = {};                  ///< names of all terms that `counts` may name; needed among several ranks
  std::shared_ptr<parallel::FrozenShards> shards = {};  ///< of the module's frozen weights (train.ranks.shard_frozen)
  /// Children of the module that no step computes with (train.encoder_cache): they stay on the CPU, where checkpoints take them
  /// from.
  std::vector<std::string> on_host = {};
};

/// Of all ranks together.
struct StepResult {
  double loss = 0, answer_loss = 0, alignment_loss = 0;  ///< loss is the sum of the other two
  double movement_accuracy = -1;                         ///< of frames with a movement; -1 when not computed
  double gradient_norm = 0;                              ///< before clipping
  int64_t clips = 0, rows = 0, tokens = 0;               ///< tokens of all rows, without padding
  std::vector<std::string> suspects;                     ///< clips of the micro-batches whose loss is not finite
};

/// Forward and backward pass of all micro-batches of a step; gradients add up in the parameters. Each term is divided as
/// task.normalise says; with `tokens` by its count over the whole step, so that the way the step is cut does not matter (loss
/// 1e-6, gradients 5e-6 relative). The loss is what is differentiated. gradient_norm is left at 0. Throws Error(internal) when
/// the loss counts otherwise than task.counts. Among several ranks, each gives the micro-batches of its share, which may be none,
/// and gradients and result are the sums of all.
StepResult forward_backward(const Task& task, const std::vector<model::ClipBatch>& batches, parallel::GradientReducer& reducer);
StepResult forward_backward(const Task& task, const std::vector<model::ClipBatch>& batches);

}  // namespace microemo::train
