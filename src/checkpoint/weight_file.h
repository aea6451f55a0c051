#pragma once
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "mapped_tensor.h"
#include "microemo/checkpoint/tensor_source.h"

namespace microemo::checkpoint {

/// A tensor of one file: its entry (without `file`) and the part of the file that its storage is.
struct StoredTensor {
  TensorEntry entry;
  uint64_t storage_begin = 0, storage_end = 0;  ///< bytes from the start of the file
};

/// What one file holds, whatever its form.
struct WeightFile {
  std::filesystem::path path;
  std::string_view format;
  MappedBytes file;
  std::vector<StoredTensor> tensors;
  std::map<std::string, std::string> metadata = {};
  std::vector<SkippedValue> skipped = {};
};

/// Reads the headers of a file of any known form; its first bytes say which. Throws Error(checkpoint).
WeightFile read_weight_file(const std::filesystem::path& path, const SourceOptions& options);

/// The files of a path (see tensor_source.h) and, for shards, the file of each tensor by its place in `files`.
struct WeightFiles {
  std::vector<std::filesystem::path> files;
  std::map<std::string, size_t> places = {};  ///< empty when there is one file without an index
  std::filesystem::path index = {};           ///< empty when there is none
};

/// Throws Error(checkpoint) when there are no weights, or an index is damaged or names files outside its folder.
WeightFiles find_weight_files(const std::filesystem::path& path);

}  // namespace microemo::checkpoint
