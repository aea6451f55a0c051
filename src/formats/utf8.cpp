#include "microemo/formats/utf8.h"

#include <cstdint>

namespace microemo::formats {
namespace {

bool is_code_point(char32_t c) { return c <= 0x10FFFF && !(c >= 0xD800 && c <= 0xDFFF); }

int sequence_length(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead < 0xE0) return 2;
  if (lead >= 0xE0 && lead < 0xF0) return 3;
  if (lead >= 0xF0 && lead < 0xF5) return 4;
  return 0;
}

/// The code point at the front of `text`, which is cut off; nothing when the bytes are no UTF-8.
std::optional<char32_t> take(std::string_view& text) {
  const auto lead = static_cast<unsigned char>(text.front());
  const int length = sequence_length(lead);
  if (length == 0 || text.size() < static_cast<size_t>(length)) return std::nullopt;
  char32_t c = length == 1 ? lead : lead & (0x7Fu >> length);
  for (int i = 1; i < length; ++i) {
    const auto next = static_cast<unsigned char>(text[static_cast<size_t>(i)]);
    if ((next & 0xC0) != 0x80) return std::nullopt;
    c = c << 6 | (next & 0x3Fu);
  }
  constexpr char32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (c < smallest[length] || !is_code_point(c)) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(length));
  return c;
}

void append(std::string& text, char32_t c) {
  const auto tail = [&](int shift) { text += static_cast<char>(0x80 | (c >> shift & 0x3F)); };
  if (c < 0x80) {
    text += static_cast<char>(c);
  } else if (c < 0x800) {
    text += static_cast<char>(0xC0 | c >> 6);
    tail(0);
  } else if (c < 0x10000) {
    text += static_cast<char>(0xE0 | c >> 12);
    tail(6), tail(0);
  } else {
    text += static_cast<char>(0xF0 | c >> 18);
    tail(12), tail(6), tail(0);
  }
}

}  // namespace

bool is_utf8(std::string_view text) {
  for (;;) {
    // ASCII, which is most of most files, needs no look at what follows it.
    size_t ascii = 0;
    while (ascii < text.size() && static_cast<unsigned char>(text[ascii]) < 0x80) ++ascii;
    text.remove_prefix(ascii);
    if (text.empty()) return true;
    if (!take(text)) return false;
  }
}

std::optional<std::u32string> decode_utf8(std::string_view text) {
  std::u32string code_points;
  while (!text.empty()) {
    const auto c = take(text);
    if (!c) return std::nullopt;
    code_points += *c;
  }
  return code_points;
}

std::optional<std::string> encode_utf8(std::u32string_view code_points) {
  std::string text;
  for (const char32_t c : code_points) {
    if (!is_code_point(c)) return std::nullopt;
    append(text, c);
  }
  return text;
}

}  // namespace microemo::formats
