#pragma once
#include <map>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include "microemo/checkpoint/tensors.h"
#include "microemo/train/options.h"

namespace microemo::train {

/// Sets requires_grad of every parameter by its name: those that a pattern of `trainable` matches and none of `frozen`. Throws
/// Error(config) for a pattern that matches no name (with the nearest), and when nothing is left to train.
void select_trainable(torch::nn::Module& module, const TrainOptions& options);

/// AdamW (Loshchilov and Hutter 2019) over at::_fused_adamw_, equal to torch.optim.AdamW. Trains the parameters that require a
/// gradient; fp32. A parameter without a gradient is left as it is, with its state. Not thread-safe.
class AdamW {
 public:
  /// Weight decay goes to parameters of two and more dimensions whose names match no pattern of options.no_decay; with the rule
  /// lavis to those whose names hold neither "bias" nor "ln" nor "bn". Throws
  /// Error(internal) naming the parameter and the file when one to train lies in a mapped file, Error(config) for an entry of
  /// rate_factors that is no PATTERN=FACTOR or matches nothing.
  AdamW(const torch::nn::Module& module, const TrainOptions& options);

  /// Drops all gradients.
  void clear_gradients();
  /// Gradients that are there, in the order of parameters.
  std::vector<at::Tensor> gradients() const;
  /// Names of parameters with weight decay.
  std::vector<std::string> decaying() const;
  /// Euclidean norms of the gradients of each top-level module.
  std::map<std::string, double> norms_by_part() const;
  /// Names of parameters whose gradient holds NaN or infinities.
  std::vector<std::string> not_finite() const;
  /// Names of parameters that have no gradient.
  std::vector<std::string> without_gradient() const;
  /// One update.
  void step(double learning_rate);

  /// "NAME.step", "NAME.exp_avg", "NAME.exp_avg_sq" of every parameter; they share memory with the optimizer.
  checkpoint::NamedTensors state() const;
  /// Throws Error(checkpoint) naming `source` when names, shapes or types differ.
  void load_state(const checkpoint::NamedTensors& state, const std::filesystem::path& source);

 private:
  struct Slot {
    std::string name;
    at::Tensor parameter, step, mean, mean_square;
    bool decays = false;
    double rate_factor = 1;
  };
  void update(const std::vector<const Slot*>& slots, double learning_rate, double weight_decay);

  std::vector<Slot> slots_;
  double beta1_, beta2_, epsilon_, weight_decay_;
};

/// Euclidean norm over all gradients, 0-dimensional on their device; with `most` > 0 the gradients are scaled in place so that it
/// is at most that (as torch.nn.utils.clip_grad_norm_, but the host never waits).
at::Tensor clip_gradients(const std::vector<at::Tensor>& gradients, double most);

}  // namespace microemo::train
