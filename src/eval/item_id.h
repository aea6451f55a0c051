#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "microemo/base/json.h"

namespace microemo::eval {

/// The id of an item of a JSONL file: "id", else "name"; "<clip>/<utterance>" of the answers that an evaluation writes, which
/// have neither. Throws Error(data) with file and line.
std::string item_id(const Json& object, const std::filesystem::path& path, int64_t line);

/// What to do about truths without a prediction: names two ids that differ in the case of letters or in blanks around them alone,
/// where there are such. Ids are never taken for one another.
std::string hint_for_missing(const std::vector<std::string>& missing, const std::vector<std::string>& extra);

}  // namespace microemo::eval
