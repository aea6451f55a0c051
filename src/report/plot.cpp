#include "microemo/report/plot.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "canvas.h"
#include "microemo/base/error.h"
#include "microemo/base/json.h"

namespace microemo::report {
namespace {

using media::Point;

constexpr int page_width = 1200, page_height = 600;
constexpr double left = 110, right = 1160, top = 90, bottom = 510;
constexpr int text_size = 20, title_size = 27;

struct Range {
  double low = std::numeric_limits<double>::infinity(), high = -low;

  void include(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  /// A single value gets some room on both sides.
  Range widened() const { return high > low ? *this : Range{low - 0.5, high + 0.5}; }
};

struct Axes {
  Range x, y;
  Point place(double at_x, double at_y) const {
    return {left + (at_x - x.low) / (x.high - x.low) * (right - left),
            bottom - (at_y - y.low) / (y.high - y.low) * (bottom - top)};
  }
};

Axes axes_of(const Plot& plot) {
  Range x, y;
  for (const Curve& curve : plot.curves) {
    MICROEMO_CHECK(curve.x.size() == curve.y.size(), "curve {} has {} x and {} y", curve.name, curve.x.size(), curve.y.size());
    for (size_t i = 0; i < curve.x.size(); ++i) {
      if (!std::isfinite(curve.x[i]) || !std::isfinite(curve.y[i])) continue;
      x.include(curve.x[i]);
      y.include(curve.y[i]);
    }
  }
  if (x.low > x.high)
    throw DataError("there is nothing to plot in \"{}\": no value is finite", plot.title)
        .hint("look at the numbers themselves: training may have diverged");
  if (y.low > 0) y.low = 0;
  y = y.widened();
  y.high += 0.05 * (y.high - y.low);
  return {x.widened(), y};
}

void draw_axes(Image& image, const Axes& axes, const Plot& plot) {
  const std::vector<double> y_ticks = ticks(axes.y.low, axes.y.high, 5), x_ticks = ticks(axes.x.low, axes.x.high, 8);
  for (const double value : y_ticks) {
    const double y = axes.place(axes.x.low, value).y;
    media::draw_line(image, {left, y}, {right, y}, rule, 1);
    write(image, tick_text(value, tick_step(y_ticks)), left - 12, y + 7, text_size, faint_ink, Align::right);
  }
  for (const double value : x_ticks) {
    const double x = axes.place(value, axes.y.low).x;
    media::draw_line(image, {x, bottom}, {x, bottom + 7}, faint_ink, 1);
    write(image, tick_text(value, tick_step(x_ticks)), x, bottom + 30, text_size, faint_ink, Align::center);
  }
  media::draw_line(image, {left, bottom}, {right, bottom}, faint_ink, 2);
  write(image, plot.title, left, 50, title_size, ink);
  write(image, plot.x_label, (left + right) / 2, bottom + 66, text_size, faint_ink, Align::center);
}

void draw_curve(Image& image, const Axes& axes, const Curve& curve, Color color) {
  std::vector<Point> piece;
  const auto finish_piece = [&] {
    for (size_t i = 1; i < piece.size(); ++i) media::draw_line(image, piece[i - 1], piece[i], color, 2);
    if (piece.size() == 1) media::draw_dot(image, piece[0], 4, color);
    piece.clear();
  };
  for (size_t i = 0; i < curve.x.size(); ++i) {
    if (std::isfinite(curve.x[i]) && std::isfinite(curve.y[i]))
      piece.push_back(axes.place(curve.x[i], curve.y[i]));
    else
      finish_piece();
  }
  finish_piece();
}

void draw_legend(Image& image, const Plot& plot) {
  double x = right;
  for (size_t i = plot.curves.size(); i-- > 0;) {
    const std::string& name = plot.curves[i].name;
    write(image, name, x, 50, text_size, ink, Align::right);
    x -= media::text_width(name, text_size) + 12;
    media::draw_line(image, {x - 28, 43}, {x, 43}, series_color(i), 4);
    x -= 60;
  }
}

double number_or_gap(const Json& value, const std::string& key, const std::filesystem::path& file, int64_t line) {
  if (value.is_null()) return std::numeric_limits<double>::quiet_NaN();
  if (!value.is_number()) throw DataError("\"{}\" is no number", key).where(file, line).hint("remove or mend the line");
  return value.get<double>();
}

}  // namespace

std::vector<Curve> read_curves(const std::filesystem::path& jsonl, const std::string& x_key,
                               const std::vector<std::string>& y_keys) {
  std::vector<Curve> curves;
  for (const std::string& key : y_keys) curves.push_back({key, {}, {}});
  read_jsonl(jsonl, [&](const Json& value, int64_t line) {
    for (Curve& curve : curves) {
      if (!value.contains(x_key) || !value.contains(curve.name)) continue;
      curve.x.push_back(number_or_gap(value[x_key], x_key, jsonl, line));
      curve.y.push_back(number_or_gap(value[curve.name], curve.name, jsonl, line));
    }
  });
  for (const Curve& curve : curves)
    if (curve.x.empty())
      throw DataError("no line has both \"{}\" and \"{}\"", x_key, curve.name)
          .where(jsonl)
          .hint("name keys that stand in the file");
  return curves;
}

media::Image draw_plot(const Plot& plot) {
  const Axes axes = axes_of(plot);
  Image image = blank_page(page_width, page_height);
  draw_axes(image, axes, plot);
  for (size_t i = 0; i < plot.curves.size(); ++i) draw_curve(image, axes, plot.curves[i], series_color(i));
  if (plot.curves.size() > 1) draw_legend(image, plot);
  return image;
}

}  // namespace microemo::report
