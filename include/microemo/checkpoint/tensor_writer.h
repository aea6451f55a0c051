#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

namespace microemo::checkpoint {

/// What a tensor will be, before it exists.
struct TensorPlan {
  std::string name;
  at::ScalarType type = at::kFloat;
  std::vector<int64_t> shape;
};

/// Hands over the tensor of a plan, of exactly its type and shape, any device and layout. Called once for each, one at a time.
using TensorMaker = std::function<at::Tensor(const TensorPlan&)>;

struct ShardOptions {
  uint64_t shard_bytes = 5'000'000'000;  ///< most bytes of tensors in one file; a larger tensor has a file of its own
  std::map<std::string, std::string> metadata = {{"format", "pt"}};
};

// The three writers below hold one tensor at a time, are atomic for each file, and write the same bytes for the same content.
// They throw Error(internal) for a name used twice, a tensor that differs from its plan, or a type that the format lacks, and
// Error(environment) when a file cannot be written; then nothing remains of the file in work.

/// One safetensors file.
void write_safetensors_file(const std::filesystem::path& path, const std::vector<TensorPlan>& plan, const TensorMaker& make,
                            const std::map<std::string, std::string>& metadata = {{"format", "pt"}});

/// A folder as Hugging Face libraries write it: model.safetensors when everything fits into one file, else
/// model-00001-of-0000N.safetensors, filled in the order of `plan`, and model.safetensors.index.json, which comes last. Throws
/// Error(checkpoint) when the folder holds weights already. Returns the files written.
std::vector<std::filesystem::path> write_safetensors_folder(const std::filesystem::path& folder,
                                                            const std::vector<TensorPlan>& plan, const TensorMaker& make,
                                                            const ShardOptions& options = {});

/// A .pth for Python tools: a dict of tensors in the order of `plan`, which torch.load reads with weights_only=True and with
/// mmap=True. `sub_dict` ("model") wraps the dict into another one under this key; empty writes it bare.
void write_pth(const std::filesystem::path& path, const std::vector<TensorPlan>& plan, const TensorMaker& make,
               const std::string& sub_dict = {});

}  // namespace microemo::checkpoint
