#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "microemo/media/image.h"

namespace microemo::report {

/// Points in order of x; a y that is not finite leaves a gap.
struct Curve {
  std::string name;
  std::vector<double> x, y;
};

struct Plot {
  std::string title, x_label;
  std::vector<Curve> curves;
};

/// The curves of `y_keys` over `x_key` from a JSONL file of metrics. A line without one of the keys adds no point to that curve
/// (validation is rarer than training), null is a gap. Throws Error(data) with the file when a key is on no line or holds
/// something other than a number.
std::vector<Curve> read_curves(const std::filesystem::path& jsonl, const std::string& x_key,
                               const std::vector<std::string>& y_keys);

/// A line plot, 1200 x 600 RGB: axes from round numbers, the vertical one from 0 unless there are negative values, a legend when
/// there is more than one curve. Throws Error(data) when no point is finite, Error(internal) when a curve's x and y differ in
/// length.
media::Image draw_plot(const Plot& plot);

}  // namespace microemo::report
