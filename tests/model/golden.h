#pragma once
#include <filesystem>
#include <map>
#include <string>

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/nn/module.h>

#include "microemo/checkpoint/load.h"
#include "microemo/checkpoint/tensors.h"

namespace microemo {

/// Values that tests/reference/model.py wrote: "in.…" and "out…" beside the weights of one module.
class Golden {
 public:
  explicit Golden(const std::string& name) {
    const auto file = std::filesystem::path(MICROEMO_SOURCE_DIR) / "tests/data/model" / (name + ".safetensors");
    for (auto& [key, value] : checkpoint::read_tensors(file)) tensors_[key] = value.clone();
  }
  const at::Tensor& operator[](const std::string& name) const { return tensors_.at(name); }

  /// Copies every weight of the file into the module; each parameter of the module must be there.
  void load_into(torch::nn::Module& module) const {
    const at::NoGradGuard no_grad;
    for (auto& item : module.named_parameters()) item.value().copy_(tensors_.at(item.key()));
  }

 private:
  std::map<std::string, at::Tensor> tensors_;
};

/// Largest absolute difference, relative to the largest expected value.
inline double difference(const at::Tensor& actual, const at::Tensor& expected) {
  EXPECT_EQ(actual.sizes(), expected.sizes());
  return ((actual - expected).abs().max() / expected.abs().max()).item<double>();
}

}  // namespace microemo
