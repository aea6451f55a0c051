#pragma once
#include <string>
#include <vector>

#include "microemo/media/image.h"

namespace microemo::report {

/// One bar: a share from 0 to 1, with its interval where `low` < `high`. A value that is not finite is drawn as "-".
struct Bar {
  std::string name;
  double value = 0, low = 0, high = 0;
};

/// Bars that belong together, under a heading of their own when it is not empty.
struct BarGroup {
  std::string heading;
  std::vector<Bar> bars;
};

struct BarChart {
  std::string title, axis;
  std::vector<BarGroup> groups;
  std::string note = {};  ///< small, under the axis
};

/// Horizontal bars from 0 to 1 with their values as text, 1200 pixels wide and as high as they need. Throws Error(data) when
/// there is no bar.
media::Image draw_bars(const BarChart& chart);

}  // namespace microemo::report
