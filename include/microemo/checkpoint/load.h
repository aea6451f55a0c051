#pragma once
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <torch/nn/module.h>

#include "microemo/checkpoint/tensors.h"

namespace microemo::checkpoint {

/// Parameters and buffers of a module by their dotted names, detached; they share the module's memory.
NamedTensors tensors_of(const torch::nn::Module& module);

/// Takes a tensor in place of a module's tensor of that name.
struct OtherTarget {
  at::Tensor like;  ///< of the shape and type that the tensor has to fit, on any device; undefined: nothing is loaded there
  std::function<void(const at::Tensor&)> take = {};
};

struct LoadOptions {
  std::filesystem::path source = {};  ///< where the tensors come from, for errors
  bool allow_missing = false;         ///< what the tensors lack keeps its values in the module
  bool allow_unexpected = false;      ///< tensors that the module lacks are left aside
  bool exact_type = false;            ///< refuse to convert between floating-point types (a resume must not)
  bool check_only = false;            ///< copy nothing
  std::map<std::string, OtherTarget> instead = {};
};

/// What was copied and what was not, each in order of names.
struct LoadReport {
  std::vector<std::string> loaded, missing, unexpected;
};

/// Copies tensors into a module's parameters and buffers of the same names, on the module's device. All or nothing: when anything
/// does not fit, nothing is copied and Error(checkpoint) lists what is missing (with the like name that the tensors have
/// instead), what is unexpected, every wrong shape with both shapes, and every wrong type. Floating-point types are converted
/// into each other unless exact_type; others have to be equal.
LoadReport load_into(torch::nn::Module& module, const NamedTensors& tensors, const LoadOptions& options);

}  // namespace microemo::checkpoint
