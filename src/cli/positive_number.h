#pragma once
#include <charconv>
#include <cmath>
#include <string>

namespace microemo::cli {

/// For check(): CLI::PositiveNumber lets "nan" through.
inline std::string positive_number(const std::string& text) {
  const char* const end = text.data() + text.size();
  double value = 0;
  const auto [rest, trouble] = std::from_chars(text.data(), end, value);
  const bool number = trouble == std::errc() && rest == end && std::isfinite(value) && value > 0;
  return number ? "" : text + " is not a number above 0";
}

}  // namespace microemo::cli
