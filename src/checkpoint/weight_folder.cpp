#include <array>
#include <map>

#include "microemo/base/error.h"
#include "microemo/formats/shard_index.h"
#include "weight_file.h"

namespace microemo::checkpoint {
namespace {

namespace fs = std::filesystem;

constexpr std::array known_names{
    "model.safetensors",         "model.safetensors.index.json",
    "pytorch_model.bin",         "pytorch_model.bin.index.json",
    "adapter_model.safetensors", "adapter_model.bin",
};

bool is_index(const fs::path& path) { return path.extension() == ".json"; }

fs::path weights_in(const fs::path& folder) {
  for (const char* name : known_names)
    if (fs::exists(folder / name)) return folder / name;
  throw CheckpointError("there are no weights in this folder")
      .where(folder)
      .hint("name the file itself, or a folder with model.safetensors, pytorch_model.bin or an index of shards");
}

/// Of a pipe the first byte would be waited for. What is not there is the reader's to tell.
void require_regular(const fs::path& path) {
  std::error_code failure;
  if (fs::exists(path, failure) && !fs::is_regular_file(path, failure))
    throw CheckpointError("it is not a regular file").where(path).hint("copy it into a file, or name another");
}

WeightFiles read_index(const fs::path& index) {
  const std::map<std::string, std::string> shards = formats::read_shard_index(index);
  WeightFiles result{{}, {}, index};
  std::map<std::string, size_t> places;
  for (const auto& [name, file] : shards) places[file];
  for (auto& [file, place] : places) {
    place = result.files.size();
    result.files.push_back(index.parent_path() / file);
    require_regular(result.files.back());
  }
  for (const auto& [name, file] : shards) result.places[name] = places[file];
  return result;
}

}  // namespace

WeightFiles find_weight_files(const fs::path& path) {
  std::error_code failure;
  if (!fs::exists(path, failure))
    throw CheckpointError("{}", failure ? "it cannot be read: " + failure.message() : "there is no such file or folder")
        .where(path)
        .hint("check the path of the weights");
  const fs::path found = fs::is_directory(path) ? weights_in(path) : path;
  require_regular(found);
  if (is_index(found)) return read_index(found);
  return {{found}};
}

}  // namespace microemo::checkpoint
