#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <ATen/core/Tensor.h>

namespace microemo::checkpoint {

/// The type of a safetensors word; nothing for words that LibTorch has no tensors of (F6_E2M3, F6_E3M2) and unknown ones.
std::optional<at::ScalarType> type_of_word(std::string_view word);

/// Null for types that safetensors files cannot hold.
const char* word_of_type(at::ScalarType type);

/// LibTorch packs two F4 values into one element, the format counts values: the last length is halved, or doubled back. Other
/// types keep their shape. Throws Error(checkpoint) for an odd number of values.
std::vector<int64_t> shape_in_memory(at::ScalarType type, std::vector<int64_t> shape);
std::vector<int64_t> shape_in_file(at::ScalarType type, std::vector<int64_t> shape);

}  // namespace microemo::checkpoint
