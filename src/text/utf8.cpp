#include "utf8.h"

#include <cstddef>
#include <cstdint>

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

}  // namespace

bool is_utf8(std::string_view bytes) {
  for (size_t i = 0; i < bytes.size();) {
    uint8_t low, high;
    const size_t length = sequence_length(uint8_t(bytes[i]), low, high);
    if (length == 0 || i + length > bytes.size()) return false;
    for (size_t k = 1; k < length; ++k, low = 0x80, high = 0xBF)
      if (uint8_t(bytes[i + k]) < low || uint8_t(bytes[i + k]) > high) return false;
    i += length;
  }
  return true;
}

}  // namespace microemo::text
