#pragma once
#include <charconv>
#include <limits>
#include <string>

#include <fmt/format.h>

namespace microemo::cli {

/// For check(): without it CLI11 reads a number that does not fit as the nearest one that does.
template <class Number>
std::string whole_number(const std::string& text) {
  const char* const end = text.data() + text.size();
  Number value = 0;
  const auto [rest, trouble] = std::from_chars(text.data(), end, value);
  if (trouble == std::errc() && rest == end && value >= 0) return "";
  return fmt::format("{} is not a whole number from 0 to {}", text, std::numeric_limits<Number>::max());
}

}  // namespace microemo::cli
