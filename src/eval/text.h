#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace microemo::eval {

/// Without the blanks at both ends, those of Unicode too: what Python's str.strip removes.
std::string_view strip(std::string_view text);

/// In lower case, character by character, as Python's str.lower; other than there, a capital sigma at the end of a word is no
/// exception.
std::string lower(std::string_view text);

/// Cut at any of the separators, each piece stripped, empty pieces left out.
std::vector<std::string> split(std::string_view text, std::string_view separators);

/// True for the words that pandas.read_csv and read_excel turn into NaN ("nan", "NA", "null", …), which the public code takes for
/// an empty list. The empty cell is one of them.
bool is_missing(std::string_view cell);

}  // namespace microemo::eval
