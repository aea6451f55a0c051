#pragma once
#include <string_view>

namespace microemo::formats {

struct SafetensorsDtype {
  std::string_view name;
  int bits;
  int rank;  ///< place in the format's own list, which decides the order of the tensors in a file
};

/// Null when the format has no such type.
const SafetensorsDtype* find_safetensors_dtype(std::string_view name);

}  // namespace microemo::formats
