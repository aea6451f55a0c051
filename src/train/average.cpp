#include "microemo/train/average.h"

#include <algorithm>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/_foreach_lerp.h>

#include "microemo/base/error.h"

namespace microemo::train {
namespace {

/// Puts the weights back, whatever happens in between.
class Exchanged {
 public:
  Exchanged(std::vector<at::Tensor>& weights, const std::vector<at::Tensor>& averages) : weights_(weights) {
    const at::NoGradGuard no_grad;
    for (size_t i = 0; i < weights.size(); ++i) {
      kept_.push_back(weights[i].detach().clone());
      weights[i].copy_(averages[i]);
    }
  }
  ~Exchanged() {
    const at::NoGradGuard no_grad;
    for (size_t i = 0; i < weights_.size(); ++i) weights_[i].copy_(kept_[i]);
  }
  Exchanged(const Exchanged&) = delete;
  Exchanged& operator=(const Exchanged&) = delete;

 private:
  std::vector<at::Tensor>& weights_;
  std::vector<at::Tensor> kept_;
};

}  // namespace

WeightAverage::WeightAverage(const torch::nn::Module& module, double decay) : decay_(decay) {
  if (decay == 0) return;
  for (const auto& item : module.named_parameters()) {
    if (!item.value().requires_grad()) continue;
    names_.push_back(item.key());
    weights_.push_back(item.value());
    averages_.push_back(item.value().detach().clone());
  }
}

void WeightAverage::update() {
  if (none()) return;
  const at::NoGradGuard no_grad;
  at::_foreach_lerp_(averages_, weights_, 1 - decay_);
}

void WeightAverage::begin_again() {
  for (size_t i = 0; i < names_.size(); ++i) averages_[i].copy_(weights_[i].detach());
}

void WeightAverage::instead_of_weights(const std::function<void()>& work) {
  const Exchanged exchanged(weights_, averages_);
  work();
}

checkpoint::NamedTensors WeightAverage::state() const {
  checkpoint::NamedTensors tensors;
  for (size_t i = 0; i < names_.size(); ++i) tensors[names_[i]] = averages_[i];
  return tensors;
}

void WeightAverage::load_state(const checkpoint::NamedTensors& state, const std::filesystem::path& source) {
  for (const auto& [name, tensor] : state)
    if (std::find(names_.begin(), names_.end(), name) == names_.end())
      throw CheckpointError("'{}' has an average in the file and is not trained", name).where(source);
  for (size_t i = 0; i < names_.size(); ++i) {
    const auto found = state.find(names_[i]);
    if (found == state.end()) throw CheckpointError("the file has no average of '{}'", names_[i]).where(source);
    if (found->second.sizes() != averages_[i].sizes() || found->second.scalar_type() != averages_[i].scalar_type())
      throw CheckpointError("the average of '{}' has another shape or type than the weight", names_[i]).where(source);
  }
  for (size_t i = 0; i < names_.size(); ++i) averages_[i].copy_(state.at(names_[i]));
}

}  // namespace microemo::train
