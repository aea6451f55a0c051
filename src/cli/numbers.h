#pragma once
#include <cmath>
#include <string>

#include <fmt/format.h>

#include "microemo/eval/interval.h"

namespace microemo::cli {

/// A score for people, with so many digits behind the point; "-" for NaN.
inline std::string number(double value, int digits) { return std::isnan(value) ? "-" : fmt::format("{:.{}f}", value, digits); }

inline std::string between(const eval::Interval& of, int digits) {
  return fmt::format("[{}, {}]", number(of.low, digits), number(of.high, digits));
}

}  // namespace microemo::cli
