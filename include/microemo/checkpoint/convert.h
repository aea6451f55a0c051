#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "microemo/checkpoint/peft.h"
#include "microemo/checkpoint/tensor_source.h"
#include "microemo/checkpoint/tensor_writer.h"

// Weights from one public form into another. Everything is planned on names and shapes first, so that what does not fit is known
// before a byte is written; tensors are made one at a time while they are written.

namespace microemo::checkpoint {

/// A tensor that will be there when it is asked for.
struct LazyTensor {
  std::string name;
  at::Tensor meta;  ///< its type and shape
  std::function<at::Tensor()> make;
};
using LazyTensors = std::vector<LazyTensor>;

/// All of a source, in its order. The source is kept alive. What of a .pth was not read is told of by log_warning.
LazyTensors lazy_tensors(const TensorSource& source);

/// Adds a difference to its base, name by name, by the delta rules of the family that the names are of. Throws Error(checkpoint):
/// a tensor that only one of the two has (rotary tables and their like apart), or another shape (with both).
LazyTensors add_delta(LazyTensors delta, const LazyTensors& base, const std::filesystem::path& source);

/// Adds (sign 1) or takes away (-1) an adapter. Tensors that the adapter replaces as a whole are taken from it; taking them away
/// is an Error(checkpoint). Throws also as check_base does.
LazyTensors apply_adapter(LazyTensors base, const PeftAdapter& adapter, double sign, const std::filesystem::path& source);

/// Leaves of several adapters in the state of a model the one of this name, which is then "default", as PEFT calls the only one.
/// Throws Error(checkpoint) at `source` when there is none of this name, listing those that are.
LazyTensors only_adapter(LazyTensors tensors, const std::string& name, const std::filesystem::path& source);

struct Renaming {
  LazyTensors tensors;
  std::vector<std::string> ignored;  ///< public names that are not kept
  std::string from;                  ///< the family that the names were of, or "microemo"
};

/// Gives tensors the names of `to`: a family, or "microemo" for ours. `from` is the family that they are of, empty finds it out.
/// Throws Error(config) for an unknown family, Error(checkpoint) as plan_keys does, and when the names are of no family.
Renaming rename(LazyTensors tensors, const std::string& from, const std::string& to, const std::filesystem::path& source);

enum class Container { safetensors, folder, pth };

/// Where a conversion writes, and what it writes beside the tensors.
struct OutputPlace {
  Container container = Container::safetensors;
  std::filesystem::path path;
  uint64_t shard_bytes = 5'000'000'000;
  std::filesystem::path beside = {};                                 ///< the folder that config.json and its like are copied from
  std::map<std::string, std::string> metadata = {{"format", "pt"}};  ///< of safetensors
};

/// Writes them. A folder appears whole or not at all, with the files that stand beside the weights in `beside` (config.json,
/// tokenizer files) where it is a folder. `on_tensor` is told of each. Throws Error(environment) as the writers do, and when the
/// folder exists and is not empty, or its name with ".partial" is taken by what no conversion left; Error(checkpoint) for a type
/// or name that the container cannot hold. Returns the files of weights.
std::vector<std::filesystem::path> write_tensors_as(const OutputPlace& out, const LazyTensors& tensors,
                                                    const std::function<void(const LazyTensor&)>& on_tensor);

}  // namespace microemo::checkpoint
