#pragma once
#include <filesystem>
#include <map>
#include <string>

#include <ATen/core/Tensor.h>

namespace microemo::checkpoint {

/// Tensors by name, in the order of their names.
using NamedTensors = std::map<std::string, at::Tensor>;

/// Every tensor of a safetensors file. They are views of the mapped file: opening costs no memory, bytes are read from disk when
/// they are touched, and writing to one is not allowed (it kills the process), so copy what is to be changed. The mapping lives
/// as long as any of them. A tensor whose bytes are not aligned to its element is copied. Throws Error(checkpoint) naming the
/// file and the tensor when the file is missing or damaged, or holds a type that has no tensor type here (F64, F32, F16, BF16,
/// I64, I32, I16, I8, U8 and BOOL have).
NamedTensors read_tensors(const std::filesystem::path& path);

/// Writes tensors of any device and layout to a safetensors file, atomically. Throws Error(internal) for an undefined tensor or a
/// type that the list above lacks, Error(environment) when the file cannot be written.
void write_tensors(const std::filesystem::path& path, const NamedTensors& tensors,
                   const std::map<std::string, std::string>& metadata = {});

}  // namespace microemo::checkpoint
