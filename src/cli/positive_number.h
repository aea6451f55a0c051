#pragma once
#include <charconv>
#include <cmath>
#include <string>

namespace microemo::cli {

/// The number that is the whole text; NaN where there is none.
inline double finite_number(const std::string& text) {
  const char* const end = text.data() + text.size();
  double value = 0;
  const auto [rest, trouble] = std::from_chars(text.data(), end, value);
  return trouble == std::errc() && rest == end && std::isfinite(value) ? value : std::nan("");
}

/// For check(): CLI::PositiveNumber lets "nan" through.
inline std::string positive_number(const std::string& text) {
  return finite_number(text) > 0 ? "" : text + " is not a number above 0";
}

/// For check(): CLI::NonNegativeNumber lets "nan" through, and tells the largest double in all its digits.
inline std::string number_from_zero(const std::string& text) {
  return finite_number(text) >= 0 ? "" : text + " is not a number of 0 or more";
}

}  // namespace microemo::cli
