#include "microemo/report/bars.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "canvas.h"
#include "microemo/base/error.h"

namespace microemo::report {
namespace {

constexpr int page_width = 1200, top = 90, row_height = 34, heading_height = 48, below = 80, note_height = 34;
constexpr double left = 350, right = 1060, bar_height = 20;
constexpr int text_size = 19, title_size = 27, note_size = 15, name_width = int(left) - 14 - 24;

double place(double value) { return left + std::clamp(value, 0.0, 1.0) * (right - left); }

int height_of(const BarChart& chart) {
  int height = top + below + (chart.note.empty() ? 0 : note_height);
  for (const BarGroup& group : chart.groups)
    height += int(group.bars.size()) * row_height + (group.heading.empty() ? 0 : heading_height);
  return height;
}

void draw_axis(Image& image, const BarChart& chart) {
  const int bottom = image.height - below - (chart.note.empty() ? 0 : note_height) + 10;
  for (const double value : ticks(0, 1, 5)) {
    media::draw_line(image, {place(value), top - 10.0}, {place(value), double(bottom)}, rule, 1);
    write(image, tick_text(value, 0.2), place(value), bottom + 26, text_size, faint_ink, Align::center);
  }
  write(image, chart.axis, (left + right) / 2, bottom + 58, text_size, faint_ink, Align::center);
  write(image, media::shortened_text(chart.note, note_size, page_width - 48), 24, image.height - 18, note_size, faint_ink);
  write(image, media::shortened_text(chart.title, title_size, page_width - 48), 24, 50, title_size, ink);
}

void draw_bar(Image& image, const Bar& bar, double y, Color color) {
  write(image, media::shortened_text(bar.name, text_size, name_width), left - 14, y + 7, text_size, ink, Align::right);
  if (!std::isfinite(bar.value)) return write(image, "-", left + 8, y + 7, text_size, faint_ink);
  media::fill_box(image, left, y - bar_height / 2, place(bar.value), y + bar_height / 2, color);
  double text_x = place(bar.value) + 12;
  if (bar.low < bar.high) {
    media::draw_line(image, {place(bar.low), y}, {place(bar.high), y}, ink, 2);
    for (const double end : {bar.low, bar.high}) media::draw_line(image, {place(end), y - 6}, {place(end), y + 6}, ink, 2);
    text_x = place(bar.high) + 12;
  }
  write(image, fmt::format("{:.3f}", bar.value), text_x, y + 7, text_size, ink);
}

}  // namespace

media::Image draw_bars(const BarChart& chart) {
  if (std::all_of(chart.groups.begin(), chart.groups.end(), [](const BarGroup& group) { return group.bars.empty(); }))
    throw DataError("there is nothing to draw in \"{}\": no score is known", chart.title);
  Image image = blank_page(page_width, height_of(chart));
  draw_axis(image, chart);
  double y = top;
  for (size_t i = 0; i < chart.groups.size(); ++i) {
    const BarGroup& group = chart.groups[i];
    if (!group.heading.empty()) {
      write(image, group.heading, 24, y + heading_height - 14, text_size, faint_ink);
      y += heading_height;
    }
    for (const Bar& bar : group.bars) {
      draw_bar(image, bar, y + row_height / 2.0, lighter(series_color(i), 0.35));
      y += row_height;
    }
  }
  return image;
}

}  // namespace microemo::report
