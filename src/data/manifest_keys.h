#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "microemo/base/json.h"

namespace microemo::data {

/// Throws Error(data), with the nearest name where one is near, when `object` ("a clip") is no JSON object or has a key that is
/// not among `known`.
void refuse_unknown_keys(const Json& object, const std::vector<std::string>& known, std::string_view what,
                         const std::filesystem::path& file, int64_t line);

}  // namespace microemo::data
