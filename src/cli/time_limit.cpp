#include "time_limit.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "microemo/base/error.h"

namespace microemo::cli {
namespace {

/// What is left when nothing is, as 0 would be no limit.
constexpr double soon_s = 1e-9;

/// 0 for no text.
double seconds_of_duration(const std::string& text) {
  constexpr std::array units = {std::pair{'s', 1.0}, std::pair{'m', 60.0}, std::pair{'h', 3600.0}, std::pair{'d', 86400.0}};
  if (text.empty()) return 0;
  char* end = nullptr;
  const double number = std::strtod(text.c_str(), &end);
  for (const auto& [unit, seconds] : units)
    if (end != text.c_str() && *end == unit && end[1] == '\0' && std::isfinite(number) && number > 0) return number * seconds;
  throw ConfigError("'{}' is no duration", text).at("--stop-after").hint("a number and a unit: 90s, 45m, 23h or 2d");
}

}  // namespace

TimeLimit::TimeLimit(const std::string& duration) : most_s_(seconds_of_duration(duration)) {}

double TimeLimit::left_s() const {
  if (most_s_ == 0) return 0;
  const std::chrono::duration<double> over = std::chrono::steady_clock::now() - began_;
  return std::max(soon_s, most_s_ - over.count());
}

bool TimeLimit::is_over() const { return most_s_ > 0 && left_s() <= soon_s; }

}  // namespace microemo::cli
