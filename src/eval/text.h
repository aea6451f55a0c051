#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace microemo::eval {

/// Without the blanks at both ends, those of Unicode too: what Python's str.strip removes.
std::string_view strip(std::string_view text);

/// ASCII letters in lower case.
std::string lower(std::string_view text);

/// Cut at any of the separators, each piece stripped, empty pieces left out.
std::vector<std::string> split(std::string_view text, std::string_view separators);

}  // namespace microemo::eval
