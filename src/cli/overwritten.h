#pragma once
#include <filesystem>
#include <vector>

namespace microemo::cli {

/// Throws Error(config) when a file that is to be written is one of those that are read: it would be lost. `option` names what
/// is written. An empty path is no file.
void refuse_to_overwrite(const char* option, const std::filesystem::path& written,
                         const std::vector<std::filesystem::path>& read);

}  // namespace microemo::cli
