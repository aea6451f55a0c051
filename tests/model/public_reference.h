#pragma once
#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/nn/module.h>

#include "microemo/checkpoint/key_map.h"
#include "microemo/checkpoint/tensor_source.h"

namespace microemo::test {

inline const std::filesystem::path public_data = std::filesystem::path(MICROEMO_SOURCE_DIR) / "tests/data/checkpoint";

/// Largest absolute difference over the rms of what is expected, or over 1 where that is larger.
inline double error_over_rms(const at::Tensor& actual, const at::Tensor& expected) {
  EXPECT_EQ(actual.sizes(), expected.sizes());
  const double rms = expected.square().mean().sqrt().item<double>();
  return (actual - expected).abs().max().item<double>() / std::max(1.0, rms);
}

/// fp32 against transformers' fp32; the project promises 1e-4.
constexpr double allowed_over_rms = 1e-5;

/// PREFIX0, PREFIX1, … of a file.
inline std::vector<at::Tensor> states_of(const checkpoint::TensorSource& source, const std::string& prefix) {
  std::vector<at::Tensor> states;
  while (source.contains(prefix + std::to_string(states.size())))
    states.push_back(source.tensor(prefix + std::to_string(states.size())));
  return states;
}

inline void expect_same_states(const std::vector<at::Tensor>& actual, const std::vector<at::Tensor>& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) EXPECT_LT(error_over_rms(actual[i], expected[i]), allowed_over_rms) << "state " << i;
}

/// The loss of the scripts: elements weighed with cos(0, 1, 2, …).
inline at::Tensor weighed(const at::Tensor& state) {
  return (state * at::arange(state.numel(), at::kDouble).cos().to(at::kFloat).view(state.sizes())).sum();
}

inline void train_all(torch::nn::Module& module) {
  for (at::Tensor& parameter : module.parameters()) parameter.requires_grad_(true);
}

/// Gradients under public names in a file -> under ours, without the part's own name.
inline checkpoint::NamedTensors gradients_of(const std::filesystem::path& file, const std::string& family,
                                             const std::string& part) {
  const checkpoint::TensorSource source(file);
  std::vector<std::string> names;
  for (const auto& entry : source.entries()) names.push_back(entry.name);
  checkpoint::NamedTensors gradients;
  const auto plan = plan_keys(checkpoint::find_family(family), names, checkpoint::KeyDirection::to_ours, file);
  for (const auto& step : plan.steps)
    if (step.to.starts_with(part + "."))
      gradients[step.to.substr(part.size() + 1)] = apply_step(step, {source.tensor(step.from.front())});
  return gradients;
}

/// Every parameter has a gradient, and it is the file's: within what the project promises, and small ones within a thousandth of
/// their largest value.
inline void expect_same_gradients(const torch::nn::Module& module, const checkpoint::NamedTensors& expected) {
  for (const auto& item : module.named_parameters()) {
    ASSERT_TRUE(item.value().grad().defined()) << item.key();
    ASSERT_TRUE(expected.contains(item.key())) << item.key();
    const at::Tensor &actual = item.value().grad(), &wanted = expected.at(item.key());
    EXPECT_LT(error_over_rms(actual, wanted), 10 * allowed_over_rms) << item.key();
    const double largest = std::max(wanted.abs().max().item<double>(), 0.01);  // a key's bias has none but for rounding
    EXPECT_LT((actual - wanted).abs().max().item<double>() / largest, 1e-3) << item.key();
  }
}

}  // namespace microemo::test
