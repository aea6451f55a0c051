#include "types.h"

#include <array>
#include <utility>

#include "microemo/base/error.h"

namespace microemo::checkpoint {
namespace {

constexpr std::array types{
    std::pair{"F64", at::kDouble},
    std::pair{"F32", at::kFloat},
    std::pair{"F16", at::kHalf},
    std::pair{"BF16", at::kBFloat16},
    std::pair{"F8_E5M2", at::kFloat8_e5m2},
    std::pair{"F8_E4M3", at::kFloat8_e4m3fn},
    std::pair{"F8_E5M2FNUZ", at::kFloat8_e5m2fnuz},
    std::pair{"F8_E4M3FNUZ", at::kFloat8_e4m3fnuz},
    std::pair{"F8_E8M0", at::kFloat8_e8m0fnu},
    std::pair{"F4", at::ScalarType::Float4_e2m1fn_x2},
    std::pair{"I64", at::kLong},
    std::pair{"I32", at::kInt},
    std::pair{"I16", at::kShort},
    std::pair{"I8", at::kChar},
    std::pair{"U64", at::kUInt64},
    std::pair{"U32", at::kUInt32},
    std::pair{"U16", at::kUInt16},
    std::pair{"U8", at::kByte},
    std::pair{"BOOL", at::kBool},
    std::pair{"C64", at::kComplexFloat},
};

bool packed_in_pairs(at::ScalarType type) { return type == at::ScalarType::Float4_e2m1fn_x2; }

}  // namespace

std::optional<at::ScalarType> type_of_word(std::string_view word) {
  for (const auto& [known, type] : types)
    if (word == known) return type;
  return std::nullopt;
}

const char* word_of_type(at::ScalarType type) {
  for (const auto& [word, known] : types)
    if (type == known) return word;
  return nullptr;
}

std::vector<int64_t> shape_in_memory(at::ScalarType type, std::vector<int64_t> shape) {
  if (!packed_in_pairs(type)) return shape;
  if (shape.empty() || shape.back() % 2 != 0)
    throw CheckpointError("a tensor of type F4 needs an even number of values in each row");
  shape.back() /= 2;
  return shape;
}

std::vector<int64_t> shape_in_file(at::ScalarType type, std::vector<int64_t> shape) {
  if (packed_in_pairs(type) && !shape.empty()) shape.back() *= 2;
  return shape;
}

}  // namespace microemo::checkpoint
