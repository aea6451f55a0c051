#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace microemo::formats {

/// False for overlong forms, surrogates and numbers over U+10FFFF.
bool is_utf8(std::string_view text);

/// Nothing when the text is not UTF-8 (see is_utf8).
std::optional<std::u32string> decode_utf8(std::string_view text);

/// Nothing when a number is no code point that UTF-8 can hold.
std::optional<std::string> encode_utf8(std::u32string_view code_points);

}  // namespace microemo::formats
