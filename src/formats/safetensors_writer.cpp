#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <set>

#include "microemo/base/error.h"
#include "microemo/base/files.h"
#include "microemo/formats/safetensors.h"
#include "safetensors_dtypes.h"
#include "safetensors_header.h"
#include "utf8.h"

namespace microemo::formats {
namespace {

void check_metadata(const std::map<std::string, std::string>& metadata) {
  for (const auto& [key, value] : metadata)
    if (!is_utf8(key) || !is_utf8(value)) throw InternalError("metadata must be UTF-8");
}

void check_tensors(const std::vector<SafetensorsTensor>& tensors) {
  std::set<std::string_view> names{"__metadata__"};
  for (const SafetensorsTensor& tensor : tensors) {
    if (!names.insert(tensor.name).second)
      throw InternalError("the name '{}' is taken: tensors need names of their own", tensor.name);
    if (!is_utf8(tensor.name)) throw InternalError("a tensor's name must be UTF-8");
    uint64_t size = 0;
    try {
      size = safetensors_size(tensor.dtype, tensor.shape);
    } catch (const Error& mistake) {
      throw InternalError("tensor '{}': {}", tensor.name, mistake.message());
    }
    if (size != tensor.bytes.size())
      throw InternalError("tensor '{}' has {} bytes; its dtype and shape need {}", tensor.name, tensor.bytes.size(), size);
  }
}

std::vector<SafetensorsTensor> in_file_order(std::vector<SafetensorsTensor> tensors) {
  std::sort(tensors.begin(), tensors.end(), [](const SafetensorsTensor& a, const SafetensorsTensor& b) {
    const int rank_a = find_safetensors_dtype(a.dtype)->rank, rank_b = find_safetensors_dtype(b.dtype)->rank;
    return rank_a != rank_b ? rank_a > rank_b : a.name < b.name;
  });
  return tensors;
}

std::string make_header(const std::vector<SafetensorsTensor>& tensors, const std::map<std::string, std::string>& metadata) {
  SafetensorsHeader header{{}, metadata};
  uint64_t begin = 0;
  for (const SafetensorsTensor& tensor : tensors) {
    header.entries.push_back({tensor.name, tensor.dtype, tensor.shape, begin, begin + tensor.bytes.size()});
    begin += tensor.bytes.size();
  }
  return format_safetensors_header(header);
}

}  // namespace

void write_safetensors(const std::filesystem::path& path, const std::vector<SafetensorsTensor>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  check_tensors(tensors);
  check_metadata(metadata);
  const std::vector<SafetensorsTensor> ordered = in_file_order(tensors);
  const std::string header = make_header(ordered, metadata);
  std::string size(8, '\0');
  for (size_t i = 0; i < 8; ++i) size[i] = static_cast<char>(header.size() >> (8 * i) & 0xff);

  PendingFile pending(path);
  std::ofstream file(pending.temporary(), std::ios::binary);
  file << size << header;
  for (const SafetensorsTensor& tensor : ordered)
    file.write(reinterpret_cast<const char*>(tensor.bytes.data()), static_cast<std::streamsize>(tensor.bytes.size()));
  file.close();
  if (!file)
    throw EnvironmentError("cannot write the file: {}", std::strerror(errno))
        .where(path)
        .hint("check the access rights and the free space of the disk");
  pending.commit();
}

}  // namespace microemo::formats
