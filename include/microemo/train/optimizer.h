#pragma once
#include <map>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include "microemo/checkpoint/tensors.h"
#include "microemo/parallel/parameter_ranges.h"
#include "microemo/train/batches.h"
#include "microemo/train/options.h"

namespace microemo::train {

/// Sets requires_grad of every parameter by its name: those that a pattern of `trainable` matches and none of `frozen`. Throws
/// Error(config) for a pattern that matches no name (with the nearest), and when nothing is left to train.
void select_trainable(torch::nn::Module& module, const TrainOptions& options);
/// Whether any parameter of the module is trained.
bool learns(const torch::nn::Module& module);

/// AdamW (Loshchilov and Hutter 2019) over at::_fused_adamw_, equal to torch.optim.AdamW. Trains the parameters that require a
/// gradient; fp32. A parameter without a gradient is left as it is, with its state. Not thread-safe.
///
/// With a share of several ranks it holds the state of its own range of the parameters alone (parallel::ParameterRanges) and
/// updates that; share_updates() has to follow. The weights are then those of one process, to the bit.
class AdamW {
 public:
  /// Weight decay goes to parameters of two and more dimensions whose names match no pattern of options.no_decay; with the rule
  /// lavis to those whose names hold neither "bias" nor "ln" nor "bn". Throws
  /// Error(internal) naming the parameter and the file when one to train lies in a mapped file, Error(config) for an entry of
  /// rate_factors that is no PATTERN=FACTOR or matches nothing.
  AdamW(const torch::nn::Module& module, const TrainOptions& options, Share share = {});

  /// Drops all gradients.
  void clear_gradients();
  /// Gradients that are there, in the order of parameters.
  std::vector<at::Tensor> gradients() const;
  /// Names of parameters with weight decay.
  std::vector<std::string> decaying() const;
  /// Euclidean norms of the gradients of each top-level module, from gradient_norms(gradients()).
  std::map<std::string, double> norms_by_part(const std::vector<at::Tensor>& norms) const;
  /// Names of parameters whose gradient holds NaN or infinities.
  std::vector<std::string> not_finite() const;
  /// Names of parameters that have no gradient.
  std::vector<std::string> without_gradient() const;
  /// One update of the own range.
  void step(double learning_rate);
  /// Gives the other ranks what step() updated and takes theirs, in messages of piece_mb; nothing without a share.
  void share_updates(const parallel::Group& group, double piece_mb) const;

  /// "NAME.step", "NAME.exp_avg", "NAME.exp_avg_sq" of every parameter; where only elements a to b of it are the own ones,
  /// "NAME.exp_avg[a:b]", flat. They share memory with the optimizer.
  checkpoint::NamedTensors state() const;
  /// Takes its own range from the state of any number of ranks: that of all their parts together. Throws Error(checkpoint) naming
  /// `source` when names, shapes or types differ, or elements are missing.
  void load_state(const checkpoint::NamedTensors& state, const std::filesystem::path& source);
  /// Bytes of the state here, and of that of all ranks together.
  int64_t state_bytes() const;
  int64_t state_bytes_of_all() const;
  /// Elements of all parameters as they are cut among the ranks.
  const parallel::ParameterRanges& ranges() const { return ranges_; }

 private:
  struct Slot {
    std::string name;
    at::Tensor parameter, step, mean, mean_square;
    parallel::ElementRange own;
    bool decays = false;
    double rate_factor = 1;

    bool whole() const { return own.size() == parameter.numel(); }
  };
  void update(const std::vector<const Slot*>& slots, double learning_rate, double weight_decay);

  Share share_;
  parallel::ParameterRanges ranges_;
  std::vector<Slot> slots_;
  double beta1_, beta2_, epsilon_, weight_decay_;
};

/// Euclidean norm of each, 0-dimensional.
std::vector<at::Tensor> gradient_norms(const std::vector<at::Tensor>& gradients);

/// Euclidean norm over all gradients, from those of each; 0-dimensional on their device; with `most` > 0 the gradients are scaled
/// in place so that it is at most that (as torch.nn.utils.clip_grad_norm_, but the host never waits).
at::Tensor clip_gradients(const std::vector<at::Tensor>& gradients, const std::vector<at::Tensor>& norms, double most);
at::Tensor clip_gradients(const std::vector<at::Tensor>& gradients, double most);

}  // namespace microemo::train
