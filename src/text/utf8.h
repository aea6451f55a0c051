#pragma once
#include <string>
#include <string_view>

namespace microemo::text {

/// Whether the bytes are well-formed UTF-8 (Unicode 15, table 3-7: no overlong forms, no surrogates, nothing above U+10FFFF).
bool is_utf8(std::string_view bytes);

/// What stands at the beginning of the bytes: a character, a broken one (the longest part of one that cannot go on), or one that
/// the bytes end within.
struct Utf8Part {
  enum Kind { character, broken, unfinished } kind;
  size_t length;
};
Utf8Part first_utf8_part(std::string_view bytes);  ///< `bytes` is not empty

/// Every broken or unfinished part becomes one U+FFFD, as Python's bytes.decode(errors="replace") and Rust's from_utf8_lossy do.
std::string with_replacements(std::string_view bytes);
inline constexpr std::string_view replacement_character = "\xEF\xBF\xBD";

/// SentencePiece's sign for a blank, U+2581.
inline constexpr std::string_view visible_blank = "\xE2\x96\x81";

/// The text with every `from` (not empty), from left to right, made `to`.
std::string replaced(std::string_view text, std::string_view from, std::string_view to);

}  // namespace microemo::text
