#pragma once
#include <fstream>

#include <ATen/ops/empty.h>
#include <torch/nn/module.h>

#include "microemo/base/files.h"
#include "support/errors.h"

namespace microemo::test {

/// A module of two layers with a buffer: names "first.weight", "second.weight", "second.bias" and "scale".
struct TwoLayers : torch::nn::Module {
  struct Layer : torch::nn::Module {};
  TwoLayers() {
    auto first = register_module("first", std::make_shared<Layer>());
    auto second = register_module("second", std::make_shared<Layer>());
    first->register_parameter("weight", at::zeros({2, 3}));
    second->register_parameter("weight", at::zeros({4, 2}));
    second->register_parameter("bias", at::zeros({4}));
    register_buffer("scale", at::zeros({1}));
  }
};

inline void flip_byte(const std::filesystem::path& file, size_t position) {
  std::string bytes = read_file(file);
  bytes.at(position) = static_cast<char>(bytes.at(position) ^ 1);
  std::ofstream(file, std::ios::binary) << bytes;
}

}  // namespace microemo::test
