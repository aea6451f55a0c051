#pragma once
#include <string>
#include <vector>

#include "microemo/checkpoint/tensor_source.h"

namespace microemo::checkpoint {

/// How many values of one tensor are no numbers.
struct NonFinite {
  std::string name;
  int64_t not_a_number = 0, infinite = 0, elements = 0;
};

/// The floating-point tensors of a source that hold NaN or infinities, in the source's order. Reads every such tensor once, a few
/// MB at a time, so that memory does not grow with their size. A complex number counts as the worse of its two parts. Types that
/// LibTorch has no tensors of (F6_E2M3, F6_E3M2) and packed ones (F4) cannot be looked at and throw Error(checkpoint).
/// Thread-safe.
std::vector<NonFinite> find_non_finite(const TensorSource& source);

/// Throws Error(checkpoint) that names the first of them with their counts; nothing when all values are numbers.
void require_finite(const TensorSource& source);

}  // namespace microemo::checkpoint
