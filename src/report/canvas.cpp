#include "canvas.h"

#include <array>
#include <cmath>
#include <sstream>

#include <fmt/format.h>

#include "latin.h"

namespace microemo::report {
namespace {

constexpr double large_scale = 0.9;

/// The longest start of a word that fits, at least one character.
size_t fitting_length(const std::string& word, double scale, int width) {
  size_t length = word.size();
  while (length > 1 && media::text_width(word.substr(0, length), scale) > width) --length;
  return length;
}

}  // namespace

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

std::string drawable(const std::string& text, bool* lost) {
  std::string result;
  int64_t run = 0;
  const auto end_run = [&] {
    if (run > 0) result += fmt::format("[{} character{}]", run, run == 1 ? "" : "s");
    if (run > 0 && lost) *lost = true;
    run = 0;
  };
  for (size_t at = 0; at < text.size();) {
    const auto ascii = ascii_form(next_character(text, at));
    if (!ascii) {
      ++run;
      continue;
    }
    end_run();
    result += *ascii;
  }
  end_run();
  return result;
}

void write(Image& image, const std::string& text, double x, double baseline, double scale, Color color, Align align) {
  const int width = media::text_width(text, scale);
  if (align == Align::center) x -= width / 2.0;
  if (align == Align::right) x -= width;
  // The font's strokes are one pixel wide at every size: drawn again beside themselves they carry enough ink to be read on a
  // scaled-down page.
  const int rows = scale >= large_scale ? 2 : 1;
  for (int i = 0; i < 2 * rows; ++i) media::draw_text(image, text, {x + i % 2, baseline + i / 2}, scale, color);
}

std::vector<std::string> wrap(const std::string& text, double scale, int width) {
  std::vector<std::string> lines;
  std::string line, word;
  for (std::istringstream words(text); words >> word;) {
    const std::string longer = line.empty() ? word : line + " " + word;
    if (media::text_width(longer, scale) <= width) {
      line = longer;
      continue;
    }
    if (!line.empty()) lines.push_back(line);
    for (size_t fits; (fits = fitting_length(word, scale, width)) < word.size(); word = word.substr(fits))
      lines.push_back(word.substr(0, fits));
    line = word;
  }
  if (!line.empty()) lines.push_back(line);
  return lines;
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
