#pragma once
#include <cstdint>
#include <vector>

namespace microemo::text {

/// From `first` to the next range, all characters are of these classes (CharacterClass in unicode.h).
struct ClassRange {
  char32_t first;
  uint16_t classes;
};
/// A character and what it comes apart into, canonically; `second` is 0 where that is one character.
struct Decomposition {
  char32_t whole, first, second;
};
struct CombiningRange {
  char32_t first, last;
  uint8_t order;  ///< canonical combining class
};
/// Every `step`-th character of the range has a lower case, at this distance.
struct LowerRange {
  char32_t first, last, step;
  int32_t distance;
};

extern const std::vector<ClassRange> class_ranges;          ///< sorted, the first begins at 0
extern const std::vector<Decomposition> compositions;       ///< sorted by `whole`; these come together again
extern const std::vector<Decomposition> decompositions;     ///< sorted by `whole`; these do not
extern const std::vector<CombiningRange> combining_ranges;  ///< sorted
extern const std::vector<LowerRange> lower_ranges;          ///< sorted by `first`

}  // namespace microemo::text
