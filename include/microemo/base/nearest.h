#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace microemo {

/// Letters to insert, delete, replace or swap with a neighbour to get from one word to the other (Damerau-Levenshtein,
/// restricted).
int edit_distance(std::string_view from, std::string_view to);

/// The name that a mistyped `word` most likely meant, for "did you mean"; empty when none is near. Of dotted names the last part
/// counts too, so that a key without its section, or in the wrong one, is found.
std::string nearest_name(std::string_view word, const std::vector<std::string>& names);

/// The (at most `count`) names with the least edit distance to `wanted`, nearest first, quoted and joined by ", "; for hints of
/// errors.
std::string near_names(std::string_view wanted, const std::vector<std::string_view>& names, size_t count = 3);

}  // namespace microemo
