#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace microemo::formats {

/// The (at most `count`) names with the least edit distance to `wanted`, nearest first, quoted and joined by ", "; for hints of
/// errors.
std::string near_names(std::string_view wanted, const std::vector<std::string_view>& names, size_t count = 3);

}  // namespace microemo::formats
