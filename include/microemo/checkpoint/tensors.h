#pragma once
#include <filesystem>
#include <map>
#include <string>

#include <ATen/core/Tensor.h>

namespace microemo::checkpoint {

/// Tensors by name, in the order of their names.
using NamedTensors = std::map<std::string, at::Tensor>;

/// Every tensor of a file or folder of weights, as TensorSource opens and maps them (safetensors, .pth, shards): opening costs no
/// memory, bytes are read from disk when they are touched, and the tensors are frozen, so copy what is to be changed. The mapping
/// lives as long as any of them. Throws Error(checkpoint) naming the file and the tensor when something is missing or damaged, or
/// has a type that LibTorch has no tensors of.
NamedTensors read_tensors(const std::filesystem::path& path);

/// Writes tensors of any device and layout to a safetensors file, atomically. Throws Error(internal) for an undefined tensor or a
/// type that the format lacks, Error(environment) when the file cannot be written.
void write_tensors(const std::filesystem::path& path, const NamedTensors& tensors,
                   const std::map<std::string, std::string>& metadata = {});

}  // namespace microemo::checkpoint
