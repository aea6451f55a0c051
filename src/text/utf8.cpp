#include "utf8.h"

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace microemo::text {
namespace {

/// Bytes of the character that starts with `lead`; 0 when none does. `low` and `high` bound its second byte.
size_t sequence_length(uint8_t lead, uint8_t& low, uint8_t& high) {
  low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return 2;
  if (lead >= 0xE0 && lead <= 0xEF) return 3;
  return lead >= 0xF0 && lead <= 0xF4 ? 4 : 0;
}

/// How many of the first bytes are ASCII, in steps of eight.
size_t ascii_words(std::string_view bytes) {
  size_t i = 0;
  for (uint64_t word; i + sizeof word <= bytes.size(); i += sizeof word) {
    std::memcpy(&word, bytes.data() + i, sizeof word);
    if ((word & 0x8080808080808080u) != 0) break;
  }
  return i;
}

}  // namespace

Utf8Part first_utf8_part(std::string_view bytes) {
  uint8_t low, high;
  const size_t length = sequence_length(uint8_t(bytes[0]), low, high);
  if (length == 0) return {Utf8Part::broken, 1};
  for (size_t k = 1; k < length; ++k, low = 0x80, high = 0xBF) {
    if (k == bytes.size()) return {Utf8Part::unfinished, k};
    if (uint8_t(bytes[k]) < low || uint8_t(bytes[k]) > high) return {Utf8Part::broken, k};
  }
  return {Utf8Part::character, length};
}

bool is_utf8(std::string_view bytes) {
  for (size_t i = ascii_words(bytes); i < bytes.size();) {
    const Utf8Part part = first_utf8_part(bytes.substr(i));
    if (part.kind != Utf8Part::character) return false;
    i += part.length;
    if (part.length == 1) i += ascii_words(bytes.substr(i));
  }
  return true;
}

std::string with_replacements(std::string_view bytes) {
  std::string text;
  for (size_t i = 0; i < bytes.size();) {
    const Utf8Part part = first_utf8_part(bytes.substr(i));
    text += part.kind == Utf8Part::character ? bytes.substr(i, part.length) : replacement_character;
    i += part.length;
  }
  return text;
}

std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string result;
  size_t done = 0;
  for (size_t at; (at = text.find(from, done)) != std::string_view::npos; done = at + from.size()) {
    result += text.substr(done, at - done);
    result += to;
  }
  return result += text.substr(done);
}

}  // namespace microemo::text
