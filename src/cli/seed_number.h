#pragma once
#include <charconv>
#include <cstdint>
#include <string>

namespace microemo::cli {

/// For check(): without it CLI11 reads a number of more than 64 bits as the largest one.
inline std::string seed_number(const std::string& text) {
  const char* const end = text.data() + text.size();
  uint64_t value = 0;
  const auto [rest, trouble] = std::from_chars(text.data(), end, value);
  return trouble == std::errc() && rest == end ? "" : text + " is not a whole number from 0 to 18446744073709551615";
}

}  // namespace microemo::cli
