#include "microemo/checkpoint/tensors.h"

#include <vector>

#include "microemo/base/error.h"
#include "microemo/checkpoint/tensor_source.h"
#include "microemo/formats/safetensors.h"
#include "types.h"

namespace microemo::checkpoint {
namespace {

const char* word_of(const at::Tensor& tensor, const std::string& name) {
  if (const char* word = word_of_type(tensor.scalar_type())) return word;
  throw InternalError("tensor '{}' has the type {}, which safetensors files do not hold", name,
                      c10::toString(tensor.scalar_type()));
}

}  // namespace

NamedTensors read_tensors(const std::filesystem::path& path) {
  const TensorSource source(path);
  NamedTensors tensors;
  for (const TensorEntry& entry : source.entries()) tensors.emplace(entry.name, source.tensor(entry));
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
    rows.push_back(
        {name, word_of(plain, name), shape_in_file(plain.scalar_type(), plain.sizes().vec()), {first, plain.nbytes()}});
  }
  formats::write_safetensors(path, rows, metadata);
}

}  // namespace microemo::checkpoint
