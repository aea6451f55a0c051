#pragma once
#include <cstddef>
#include <optional>
#include <string>

namespace microemo::report {

/// The character that starts at byte `at`, which moves behind it; bytes that are no UTF-8 count one by one, as U+FFFD.
char32_t next_character(const std::string& text, size_t& at);

/// How a character is written with the letters of ASCII: itself, a blank for a control character, the letter under its marks
/// ("\u00E9" as "e"), the customary spelling ("\u00DF" as "ss"), the plain form of a quote or dash; empty for a mark that stands
/// by itself. Nothing for a letter of another script.
std::optional<std::string> ascii_form(char32_t character);

}  // namespace microemo::report
