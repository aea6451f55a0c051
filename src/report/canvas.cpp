#include "canvas.h"

#include <array>
#include <cmath>

#include <fmt/format.h>

namespace microemo::report {
Color series_color(size_t index) {
  constexpr std::array<Color, 6> colors{Color{0, 114, 178}, {213, 94, 0},  {0, 158, 115},
                                        {204, 121, 167},    {230, 159, 0}, {86, 180, 233}};
  return colors[index % colors.size()];
}

Color lighter(Color color, double share) {
  const auto mix = [share](uint8_t value) { return uint8_t(std::lround(value + (255 - value) * share)); };
  return {mix(color.red), mix(color.green), mix(color.blue)};
}

Image blank_page(int width, int height) { return {width, height, 3, std::vector<uint8_t>(size_t(width) * height * 3, 255)}; }

void write(Image& image, const std::string& text, double x, double baseline, int size, Color color, Align align) {
  const int width = align == Align::left ? 0 : media::text_width(text, size);
  media::draw_text(image, text, {x - (align == Align::center ? width / 2.0 : width), baseline}, size, color);
}

std::vector<double> ticks(double low, double high, int count) {
  const double rough = (high - low) / count, power = std::pow(10, std::floor(std::log10(rough)));
  double step = power;
  for (const double factor : {10.0, 5.0, 2.0, 1.0})
    if (factor * power >= rough * (1 - 1e-9)) step = factor * power;
  std::vector<double> values;
  for (double index = std::ceil(low / step - 1e-9); index * step <= high + step * 1e-9; ++index) values.push_back(index * step);
  return values;
}

double tick_step(const std::vector<double>& ticks) { return ticks.size() < 2 ? 1 : ticks[1] - ticks[0]; }

std::string tick_text(double value, double step) {
  const int decimals = std::max(0, int(std::ceil(-std::log10(step) - 1e-9)));
  return fmt::format("{:.{}f}", value == 0 ? 0.0 : value, decimals);
}

}  // namespace microemo::report
