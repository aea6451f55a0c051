#pragma once
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include "microemo/checkpoint/tensors.h"

namespace microemo::train {

/// Exponential moving average of the weights that are trained: after each update, average = decay * average + (1 - decay) *
/// weight, beginning with the weights as they are at the start. fp32. Among several ranks every one holds it. Not thread-safe.
class WeightAverage {
 public:
  /// With a decay of 0 there is none: it holds nothing and every call does nothing.
  WeightAverage(const torch::nn::Module& module, double decay);

  bool none() const { return names_.empty(); }
  void update();
  /// The averages become the weights as they are now.
  void begin_again();
  /// Calls `work` while the averages are in the place of the weights; the weights are then the same as before, to the bit.
  void instead_of_weights(const std::function<void()>& work);

  /// By the parameters' names; they share memory with this.
  checkpoint::NamedTensors state() const;
  /// Throws Error(checkpoint) naming `source` when names, shapes or types differ.
  void load_state(const checkpoint::NamedTensors& state, const std::filesystem::path& source);

 private:
  double decay_;
  std::vector<std::string> names_;
  std::vector<at::Tensor> weights_, averages_;
};

}  // namespace microemo::train
