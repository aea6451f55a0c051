#include "fuzz.h"
#include "microemo/formats/pth.h"
#include "microemo/formats/safetensors.h"

namespace {

using namespace microemo::formats;

/// The first and the last element have to lie in the storage, and the storage in the file.
void check(const PthFile& file, const PthTensor& tensor) {
  const auto bytes = file.file_bytes();
  if (tensor.storage_begin > tensor.storage_end || tensor.storage_end > bytes.size()) std::abort();
  if (safetensors_size(tensor.dtype, tensor.shape) == 0) return;
  uint64_t last = tensor.offset;
  for (size_t i = 0; i < tensor.shape.size(); ++i)
    last += static_cast<uint64_t>(tensor.shape[i] - 1) * static_cast<uint64_t>(tensor.strides[i]);
  const uint64_t width = safetensors_size(tensor.dtype, std::vector<int64_t>{1});
  const auto storage = bytes.subspan(tensor.storage_begin, tensor.storage_end - tensor.storage_begin);
  if (last >= storage.size() / width) std::abort();
  microemo::fuzz::touch(storage.subspan(tensor.offset * width, width));
  microemo::fuzz::touch(storage.subspan(last * width, width));
}

void open_file(const std::filesystem::path& path) {
  const PthFile file(path);
  for (const PthTensor& tensor : file.tensors()) check(file, tensor);
}

}  // namespace

MICROEMO_FUZZ_TARGET(open_file)
