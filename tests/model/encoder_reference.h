#pragma once
#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/nn/module.h>

#include "microemo/checkpoint/load.h"
#include "microemo/checkpoint/part.h"
#include "microemo/checkpoint/tensor_source.h"

namespace microemo::test {

inline const std::filesystem::path encoder_data = std::filesystem::path(MICROEMO_SOURCE_DIR) / "tests/data/checkpoint";

/// What tests/reference/audio_encoders.py wrote of one model.
class EncoderReference {
 public:
  explicit EncoderReference(std::string name) : name_(std::move(name)), source_(file(".reference.safetensors")) {}
  std::filesystem::path folder() const { return encoder_data / name_; }
  at::Tensor operator[](const std::string& name) const { return source_.tensor(name).clone(); }
  std::vector<at::Tensor> states() const {
    std::vector<at::Tensor> states;
    while (source_.contains("output.hidden_states." + std::to_string(states.size())))
      states.push_back((*this)["output.hidden_states." + std::to_string(states.size())]);
    return states;
  }
  /// The gradients under our names.
  checkpoint::NamedTensors gradients(const std::string& family) const {
    return checkpoint::read_part(file(".gradients.safetensors"), "audio_encoder", family);
  }

 private:
  std::filesystem::path file(const char* suffix) const { return encoder_data / (name_ + suffix); }

  std::string name_;
  checkpoint::TensorSource source_;
};

/// Largest absolute difference over the rms of what is expected, or over 1 where that is larger.
inline double error_of(const at::Tensor& actual, const at::Tensor& expected) {
  EXPECT_EQ(actual.sizes(), expected.sizes());
  const double rms = expected.square().mean().sqrt().item<double>();
  return (actual - expected).abs().max().item<double>() / std::max(1.0, rms);
}

/// The same over the rms alone, for values that are all small.
inline double relative_error(const at::Tensor& actual, const at::Tensor& expected) {
  EXPECT_EQ(actual.sizes(), expected.sizes());
  return ((actual - expected).abs().max() / expected.square().mean().sqrt()).item<double>();
}

constexpr double allowed_error = 1e-5;

inline void expect_states(const std::vector<at::Tensor>& actual, const std::vector<at::Tensor>& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) EXPECT_LT(error_of(actual[i], expected[i]), allowed_error) << "state " << i;
}

/// The loss of the script: elements weighed with cos(0, 1, 2, …), those that are not visible left out.
inline at::Tensor weighed_loss(const at::Tensor& state, const at::Tensor& visible = {}) {
  const at::Tensor weighed = state * at::arange(state.numel(), at::kDouble).cos().to(at::kFloat).view(state.sizes());
  return visible.defined() ? weighed.masked_select(visible.unsqueeze(2)).sum() : weighed.sum();
}

inline void require_gradients(torch::nn::Module& module) {
  for (at::Tensor& parameter : module.parameters()) parameter.requires_grad_(true);
}

/// Every parameter that got a gradient has one in the file, and the same, within 1e-4 of the largest of its tensor: what reaches
/// queries and keys is a small difference of large numbers.
inline void expect_gradients(const torch::nn::Module& module, const checkpoint::NamedTensors& expected) {
  int64_t compared = 0;
  for (const auto& item : module.named_parameters()) {
    if (!item.value().grad().defined()) continue;
    ASSERT_TRUE(expected.contains(item.key())) << item.key();
    const at::Tensor& wanted = expected.at(item.key());
    ASSERT_EQ(item.value().grad().sizes(), wanted.sizes()) << item.key();
    // Softmax does not see a key's bias: what is there is rounding.
    const double scale = std::max(wanted.abs().max().item<double>(), 0.1);
    EXPECT_LT((item.value().grad() - wanted).abs().max().item<double>() / scale, 1e-4) << item.key();
    ++compared;
  }
  EXPECT_GT(compared, 20);
}

/// Makes parameters small whose names, behind a slash, hold one of these words, as the script's quiet models have them: there the
/// epsilons of the norms decide.
inline void quieten(torch::nn::Module& module, const std::vector<std::string>& words) {
  const at::NoGradGuard no_grad;
  for (auto& item : module.named_parameters())
    if (std::any_of(words.begin(), words.end(),
                    [&](const std::string& w) { return ("/" + item.key()).find(w) != std::string::npos; }))
      item.value().mul_(0.003);
}

}  // namespace microemo::test
