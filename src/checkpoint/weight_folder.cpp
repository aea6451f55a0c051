#include <algorithm>
#include <array>

#include "microemo/base/error.h"
#include "microemo/base/json.h"
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

/// Shards lie beside their index: a name that leads elsewhere is no name of a shard.
void check_shard_name(const std::string& name, const fs::path& index) {
  if (name.empty() || name.find_first_of("/\\") != std::string::npos || name == "." || name == "..")
    throw CheckpointError("the index names the file '{}', which is not beside it", name).where(index);
}

WeightFiles read_index(const fs::path& index) {
  const Json content = read_json(index);
  if (!content.is_object() || !content.contains("weight_map") || !content["weight_map"].is_object())
    throw CheckpointError("the index has no weight_map").where(index);
  std::map<std::string, std::string> shards;
  for (const auto& [name, file] : content["weight_map"].items()) {
    if (!file.is_string()) throw CheckpointError("the file of '{}' is not text", name).where(index);
    check_shard_name(file, index);
    shards[name] = file;
  }
  WeightFiles result{{}, {}, index};
  std::map<std::string, size_t> places;
  for (const auto& [name, file] : shards) places[file];
  for (auto& [file, place] : places) {
    place = result.files.size();
    result.files.push_back(index.parent_path() / file);
  }
  for (const auto& [name, file] : shards) result.places[name] = places[file];
  return result;
}

}  // namespace

WeightFiles find_weight_files(const fs::path& path) {
  if (!fs::exists(path))
    throw CheckpointError("there is no such file or folder").where(path).hint("check the path of the weights");
  const fs::path found = fs::is_directory(path) ? weights_in(path) : path;
  if (is_index(found)) return read_index(found);
  return {{found}};
}

}  // namespace microemo::checkpoint
