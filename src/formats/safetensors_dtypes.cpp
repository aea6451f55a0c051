#include "safetensors_dtypes.h"

#include <algorithm>
#include <array>

#include "microemo/base/error.h"
#include "microemo/formats/safetensors.h"

namespace microemo::formats {
namespace {

constexpr std::array dtypes{
    SafetensorsDtype{"BOOL", 8, 0},        SafetensorsDtype{"F4", 4, 1},           SafetensorsDtype{"F6_E2M3", 6, 2},
    SafetensorsDtype{"F6_E3M2", 6, 3},     SafetensorsDtype{"U8", 8, 4},           SafetensorsDtype{"I8", 8, 5},
    SafetensorsDtype{"F8_E5M2", 8, 6},     SafetensorsDtype{"F8_E4M3", 8, 7},      SafetensorsDtype{"F8_E8M0", 8, 8},
    SafetensorsDtype{"F8_E4M3FNUZ", 8, 9}, SafetensorsDtype{"F8_E5M2FNUZ", 8, 10}, SafetensorsDtype{"I16", 16, 11},
    SafetensorsDtype{"U16", 16, 12},       SafetensorsDtype{"F16", 16, 13},        SafetensorsDtype{"BF16", 16, 14},
    SafetensorsDtype{"I32", 32, 15},       SafetensorsDtype{"U32", 32, 16},        SafetensorsDtype{"F32", 32, 17},
    SafetensorsDtype{"C64", 64, 18},       SafetensorsDtype{"F64", 64, 19},        SafetensorsDtype{"I64", 64, 20},
    SafetensorsDtype{"U64", 64, 21}};

}  // namespace

const SafetensorsDtype* find_safetensors_dtype(std::string_view name) {
  for (const SafetensorsDtype& dtype : dtypes)
    if (dtype.name == name) return &dtype;
  return nullptr;
}

uint64_t safetensors_size(std::string_view dtype, std::span<const int64_t> shape) {
  const SafetensorsDtype* type = find_safetensors_dtype(dtype);
  if (type == nullptr) throw CheckpointError("unknown dtype '{}'", dtype);
  // An empty tensor may not have lengths either that no strides can be made of, in whatever order they stand.
  int64_t bits = type->bits;
  bool empty = false;
  for (const int64_t length : shape) {
    if (length < 0) throw CheckpointError("a tensor cannot have the length {}", length);
    if (__builtin_mul_overflow(bits, std::max<int64_t>(length, 1), &bits))
      throw CheckpointError("the shape is too large for any file");
    empty |= length == 0;
  }
  if (empty) return 0;
  if (bits % 8 != 0) throw CheckpointError("{} bits of {} do not fill whole bytes", bits, dtype);
  return static_cast<uint64_t>(bits) / 8;
}

}  // namespace microemo::formats
