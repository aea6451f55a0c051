#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "microemo/formats/safetensors.h"

namespace microemo::data {

/// The key of a cache entry's metadata under which its hash stands.
inline constexpr const char* entry_hash_key = "sha256";

/// SHA-256 over everything in a cache entry but the hash itself: names, types, shapes and bytes of the tensors, and the metadata.
/// It does not depend on the order of the tensors. Pure.
std::string entry_hash(std::vector<formats::SafetensorsTensor> tensors, const std::map<std::string, std::string>& metadata);
/// The same of a file.
std::string entry_hash(const formats::SafetensorsFile& file);

/// SHA-256 over the contents of a folder's pictures in their order, whatever their names. Throws Error(data) for one that cannot
/// be read.
std::string pictures_hash(const std::vector<std::filesystem::path>& pictures);

}  // namespace microemo::data
