#pragma once
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

}  // namespace microemo
