#pragma once
#include <filesystem>
#include <map>
#include <string>

namespace microemo::formats {

/// "weight_map" of a model.safetensors.index.json or pytorch_model.bin.index.json: the shard of every tensor. Shards lie beside
/// their index, so a name of a shard has no path in it. Throws Error(checkpoint), naming the file and the byte, when it is
/// missing, no such JSON, lists a tensor twice or a shard elsewhere, or when reading it would take more memory than twice its
/// size and 16 MB.
std::map<std::string, std::string> read_shard_index(const std::filesystem::path& path);

}  // namespace microemo::formats
