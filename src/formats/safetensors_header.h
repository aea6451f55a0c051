#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "microemo/formats/safetensors.h"

namespace microemo::formats {

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;
  std::map<std::string, std::string> metadata;
};

/// Every entry's size equals dtype x shape; whether the entries fit together and into the file is the caller's to check.
/// `file_bytes` bounds the memory that the table may take. Throws Error(checkpoint).
SafetensorsHeader parse_safetensors_header(std::string_view json, uint64_t file_bytes, const std::filesystem::path& path);

/// Compact JSON, padded with blanks to a multiple of 8; entries in the order given.
std::string format_safetensors_header(const SafetensorsHeader& header);

}  // namespace microemo::formats
