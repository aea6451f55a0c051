#include "weight_file.h"

#include <array>
#include <fstream>

#include "microemo/base/error.h"
#include "microemo/formats/pth.h"
#include "microemo/formats/safetensors.h"

namespace microemo::checkpoint {
namespace {

WeightFile read_safetensors(const std::filesystem::path& path) {
  const auto file = std::make_shared<const formats::SafetensorsFile>(path);
  WeightFile result{
      path, "safetensors", {file->file_bytes(), file, std::make_shared<const std::filesystem::path>(path)}, {}, file->metadata()};
  for (const formats::SafetensorsEntry& entry : file->entries()) {
    const uint64_t begin = file->data_start() + entry.begin, end = file->data_start() + entry.end;
    TensorEntry facts{entry.name, entry.dtype, entry.shape, row_major_strides(entry.shape), end - begin, 0, begin};
    result.tensors.push_back({std::move(facts), begin, end});
  }
  return result;
}

WeightFile read_pth(const std::filesystem::path& path, const SourceOptions& options) {
  const auto file = std::make_shared<const formats::PthFile>(
      path, formats::PthOptions{options.sub_dict, options.unknown == UnknownValues::refuse});
  WeightFile result{path,
                    file->legacy() ? "legacy pth" : "pth",
                    {file->file_bytes(), file, std::make_shared<const std::filesystem::path>(path)},
                    {},
                    file->values()};
  for (const formats::PthTensor& tensor : file->tensors()) {
    const uint64_t width = formats::safetensors_size(tensor.dtype, std::array<int64_t, 1>{1});
    const uint64_t begin = tensor.storage_begin + tensor.offset * width;
    TensorEntry facts{
        tensor.name, tensor.dtype, tensor.shape, tensor.strides, formats::safetensors_size(tensor.dtype, tensor.shape), 0, begin};
    result.tensors.push_back({std::move(facts), tensor.storage_begin, tensor.storage_end});
  }
  for (const formats::PthUnknown& unknown : file->unknown()) result.skipped.push_back({unknown.path, unknown.global});
  return result;
}

std::string first_bytes(const std::filesystem::path& path) {
  std::string bytes(16, '\0');
  std::ifstream file(path, std::ios::binary);
  file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  bytes.resize(static_cast<size_t>(file.gcount()));
  return bytes;
}

}  // namespace

WeightFile read_weight_file(const std::filesystem::path& path, const SourceOptions& options) {
  if (formats::looks_like_pth(first_bytes(path))) return read_pth(path, options);
  if (!options.sub_dict.empty())
    throw CheckpointError("a safetensors file has no sub-dict '{}'; its tensors stand side by side", options.sub_dict)
        .where(path)
        .hint("leave the sub-dict out");
  return read_safetensors(path);
}

}  // namespace microemo::checkpoint
