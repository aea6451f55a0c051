#include "prepared_hash.h"

#include <algorithm>
#include <string_view>

#include <fmt/ranges.h>

#include "microemo/base/hash.h"

namespace microemo::data {

std::string entry_hash(std::vector<formats::SafetensorsTensor> tensors, const std::map<std::string, std::string>& metadata) {
  std::ranges::sort(tensors, {}, &formats::SafetensorsTensor::name);
  std::string text;
  for (const formats::SafetensorsTensor& tensor : tensors) {
    const std::string_view bytes(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size());
    text += fmt::format("{} {} {} {}\n", tensor.name, tensor.dtype, tensor.shape, sha256(bytes));
  }
  for (const auto& [key, value] : metadata)
    if (key != entry_hash_key) text += fmt::format("{} {}:{}\n", key, value.size(), value);
  return sha256(text);
}

std::string entry_hash(const formats::SafetensorsFile& file) {
  std::vector<formats::SafetensorsTensor> tensors;
  for (const formats::SafetensorsEntry& entry : file.entries())
    tensors.push_back({entry.name, entry.dtype, entry.shape, file.bytes(entry)});
  return entry_hash(std::move(tensors), file.metadata());
}

std::string pictures_hash(const std::vector<std::filesystem::path>& pictures) {
  std::string text;
  for (const std::filesystem::path& picture : pictures) text += sha256_file(picture) + "\n";
  return sha256(text);
}

}  // namespace microemo::data
