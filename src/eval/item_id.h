#pragma once
#include <filesystem>
#include <string>

#include "microemo/base/json.h"

namespace microemo::eval {

/// The id of an item of a JSONL file: "id", else "name"; "<clip>/<utterance>" of the answers that an evaluation writes, which
/// have neither. Throws Error(data) with file and line.
std::string item_id(const Json& object, const std::filesystem::path& path, int64_t line);

}  // namespace microemo::eval
