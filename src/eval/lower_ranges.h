#pragma once
#include <cstdint>
#include <vector>

namespace microemo::eval {

/// Every `step`-th character from `first` to `last` has its lower case at `distance`.
struct LowerRange {
  char32_t first, last, step;
  int32_t distance;
};
/// Beyond ASCII, sorted by `first`, without overlap.
const std::vector<LowerRange>& lower_ranges();

}  // namespace microemo::eval
