#include "microemo/checkpoint/tensors.h"

#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include "microemo/base/error.h"
#include "microemo/formats/safetensors.h"

namespace microemo::checkpoint {
namespace {

constexpr std::array types{
    std::pair{"F64", at::kDouble}, std::pair{"F32", at::kFloat}, std::pair{"F16", at::kHalf},  std::pair{"BF16", at::kBFloat16},
    std::pair{"I64", at::kLong},   std::pair{"I32", at::kInt},   std::pair{"I16", at::kShort}, std::pair{"I8", at::kChar},
    std::pair{"U8", at::kByte},    std::pair{"BOOL", at::kBool},
};

at::ScalarType type_of(const formats::SafetensorsEntry& entry, const std::filesystem::path& path) {
  for (const auto& [word, type] : types)
    if (entry.dtype == word) return type;
  throw CheckpointError("tensor '{}' has the type {}, which cannot be read here", entry.name, entry.dtype)
      .where(path)
      .hint("convert it to F32, F16, BF16 or an integer type of up to 64 bits");
}

const char* word_of(const at::Tensor& tensor, const std::string& name) {
  for (const auto& [word, type] : types)
    if (tensor.scalar_type() == type) return word;
  throw InternalError("tensor '{}' has the type {}, which safetensors files do not hold here", name,
                      c10::toString(tensor.scalar_type()));
}

at::Tensor to_tensor(const formats::SafetensorsFile& file, const formats::SafetensorsEntry& entry) {
  const at::ScalarType type = type_of(entry, file.path());
  const std::span<const std::byte> bytes = file.bytes(entry);
  if (bytes.empty()) return at::empty(entry.shape, type);
  if (reinterpret_cast<uintptr_t>(bytes.data()) % c10::elementSize(type) != 0) {
    at::Tensor copy = at::empty(entry.shape, type);
    std::memcpy(copy.data_ptr(), bytes.data(), bytes.size());
    return copy;
  }
  // The deleter's copy of `file` keeps the mapping alive.
  return at::from_blob(
      const_cast<std::byte*>(bytes.data()), entry.shape, [file](void*) {}, at::TensorOptions(type));
}

}  // namespace

NamedTensors read_tensors(const std::filesystem::path& path) {
  const formats::SafetensorsFile file(path);
  NamedTensors tensors;
  for (const formats::SafetensorsEntry& entry : file.entries()) tensors.emplace(entry.name, to_tensor(file, entry));
  return tensors;
}

void write_tensors(const std::filesystem::path& path, const NamedTensors& tensors,
                   const std::map<std::string, std::string>& metadata) {
  std::vector<at::Tensor> alive;
  std::vector<formats::SafetensorsTensor> rows;
  for (const auto& [name, tensor] : tensors) {
    MICROEMO_CHECK(tensor.defined(), "tensor '{}' is undefined", name);
    const at::Tensor& plain = alive.emplace_back(tensor.detach().cpu().contiguous());
    const auto* first = static_cast<const std::byte*>(plain.const_data_ptr());
    rows.push_back({name, word_of(plain, name), plain.sizes().vec(), {first, plain.nbytes()}});
  }
  formats::write_safetensors(path, rows, metadata);
}

}  // namespace microemo::checkpoint
