#include <array>
#include <utility>

#include "microemo/formats/safetensors.h"
#include "pth_contents.h"

namespace microemo::formats {
namespace {

using Row = std::pair<std::string_view, std::string_view>;

constexpr std::array storage_classes{
    Row{"DoubleStorage", "F64"}, Row{"FloatStorage", "F32"}, Row{"HalfStorage", "F16"},         Row{"BFloat16Storage", "BF16"},
    Row{"LongStorage", "I64"},   Row{"IntStorage", "I32"},   Row{"ShortStorage", "I16"},        Row{"CharStorage", "I8"},
    Row{"ByteStorage", "U8"},    Row{"BoolStorage", "BOOL"}, Row{"ComplexFloatStorage", "C64"}, Row{"UntypedStorage", "U8"},
};

constexpr std::array torch_types{
    Row{"float64", "F64"},
    Row{"float32", "F32"},
    Row{"float16", "F16"},
    Row{"bfloat16", "BF16"},
    Row{"int64", "I64"},
    Row{"int32", "I32"},
    Row{"int16", "I16"},
    Row{"int8", "I8"},
    Row{"uint64", "U64"},
    Row{"uint32", "U32"},
    Row{"uint16", "U16"},
    Row{"uint8", "U8"},
    Row{"bool", "BOOL"},
    Row{"complex64", "C64"},
    Row{"float8_e5m2", "F8_E5M2"},
    Row{"float8_e4m3fn", "F8_E4M3"},
    Row{"float8_e5m2fnuz", "F8_E5M2FNUZ"},
    Row{"float8_e4m3fnuz", "F8_E4M3FNUZ"},
    Row{"float8_e8m0fnu", "F8_E8M0"},
};

template <class Rows>
std::string_view word_of(const Rows& rows, std::string_view name) {
  for (const auto& [known, word] : rows)
    if (known == name) return word;
  return {};
}

template <class Rows>
std::string_view name_of(const Rows& rows, std::string_view word) {
  for (const auto& [name, known] : rows)
    if (known == word) return name;
  return {};
}

}  // namespace

std::string_view dtype_of_storage_class(std::string_view global) {
  // Files from a GPU name torch.cuda.FloatStorage when they are old.
  for (const std::string_view module : {"torch.cuda.", "torch.storage.", "torch."})
    if (global.starts_with(module)) return word_of(storage_classes, global.substr(module.size()));
  return {};
}

std::string_view dtype_of_torch_type(std::string_view global) {
  constexpr std::string_view module = "torch.";
  return global.starts_with(module) ? word_of(torch_types, global.substr(module.size())) : std::string_view();
}

std::string_view storage_class_of_dtype(std::string_view word) { return name_of(storage_classes, word); }
std::string_view torch_type_of_dtype(std::string_view word) { return name_of(torch_types, word); }

int64_t dtype_width(std::string_view word) {
  const int64_t one[] = {1};
  return static_cast<int64_t>(safetensors_size(word, one));
}

}  // namespace microemo::formats
