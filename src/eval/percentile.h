#pragma once
#include <vector>

#include "microemo/eval/interval.h"

namespace microemo::eval {

/// Both ends of the central part of the values, interpolated linearly between them; those that are not finite are left out, and
/// without any left both ends are NaN.
Interval central_part(std::vector<double> values, double confidence);

}  // namespace microemo::eval
