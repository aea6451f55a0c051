#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "microemo/base/error.h"
#include "microemo/checkpoint/hf_config.h"
#include "microemo/infer/verify.h"

namespace microemo::infer {

using Tensors = std::map<std::string, at::Tensor>;

/// The recorded file, its two kinds of tensors apart and without their prefix.
struct Recording {
  std::filesystem::path path;
  Tensors inputs, outputs;

  Error refuse(const std::string& message) const;
};

Recording read_recording(const std::filesystem::path& path);

/// What a model computes, and which of the positions of [R, L, ...] count, [R, L] bool; undefined: all.
struct Output {
  at::Tensor value, counted_RL;
};
using Outputs = std::map<std::string, Output>;

/// Runs recorded inputs through the model of a folder: its outputs by the public library's names. Throws as verify_model does.
Outputs run_model(const std::filesystem::path& folder, const checkpoint::HfConfig& config, const Recording& recording,
                  const VerifyOptions& options);

/// Outputs of the public library that models of this family have and that are not computed here. A name that ends in '.' stands
/// for all that begin with it.
std::vector<std::string> outputs_left_aside(const checkpoint::HfConfig& config);

}  // namespace microemo::infer
