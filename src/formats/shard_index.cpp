#include "microemo/formats/shard_index.h"

#include <utility>

#include "json_reader.h"
#include "microemo/formats/mapped_file.h"
#include "microemo/formats/memory_budget.h"

namespace microemo::formats {
namespace {

using Shards = std::map<std::string, std::string>;

// A node of the tree here and one in the checkpoint room.
constexpr uint64_t entry_cost = 384;

void check_shard_name(const std::string& name) {
  if (name.find('\0') != std::string::npos) throw CheckpointError("the index names a file with a zero in its name");
  if (name.empty() || name == "." || name == ".." || name.find_first_of("/\\") != std::string::npos)
    throw CheckpointError("the index names the file '{}', which is not beside it", name.substr(0, 200));
}

Shards read_weight_map(JsonReader& json, MemoryBudget& budget) {
  Shards shards;
  std::string name;
  if (!json.at_object()) throw CheckpointError("the weight_map of the index is no object");
  for (json.begin_object(); json.next_key(name);) {
    if (!json.at_text()) throw CheckpointError("the file of '{}' is not text", name.substr(0, 200));
    std::string file = json.text();
    budget.take(entry_cost + 3 * name.size() + 2 * file.size());
    check_shard_name(file);
    if (!shards.emplace(name, std::move(file)).second) throw CheckpointError("the index lists '{}' twice", name.substr(0, 200));
  }
  return shards;
}

Shards parse(std::string_view text) {
  JsonReader json(text);
  MemoryBudget budget(text.size());
  Shards shards;
  bool found = false;
  std::string key;
  for (json.begin_object(); json.next_key(key);) {
    if (key != "weight_map") {
      json.skip_value();
    } else {
      if (std::exchange(found, true)) throw CheckpointError("the index has two weight_maps");
      shards = read_weight_map(json, budget);
    }
  }
  json.end();
  if (!found) throw CheckpointError("the index has no weight_map");
  if (shards.empty()) throw CheckpointError("the index lists no tensors");
  return shards;
}

}  // namespace

Shards read_shard_index(const std::filesystem::path& path) {
  const MappedFile file(path, ErrorKind::checkpoint);
  try {
    return parse(file.text());
  } catch (Error& mistake) {
    if (mistake.next_step().empty()) mistake.hint("fetch the index again, it is damaged, or no index of shards");
    throw mistake.where(path);
  }
}

}  // namespace microemo::formats
