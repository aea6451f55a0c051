#include "microemo/report/sound_picture.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "canvas.h"
#include "microemo/base/error.h"

namespace microemo::report {
namespace {

constexpr double left = 100, top = 60, below = 70, right_margin = 40;
constexpr int narrowest = 640, widest = 1600 - int(left + right_margin);
constexpr int text_size = 18;
constexpr double shift_s = 0.010;
constexpr double lowest_hz = 20;  // media::log_mel's

double mel_of(double hz) { return 1127 * std::log(1 + hz / 700); }

/// A band's row counted from the lowest band, where `hz` is the peak of band `row`; between them for other frequencies.
double row_of(double hz, int bands, int rate) {
  const double low = mel_of(lowest_hz), step = (mel_of(rate / 2.0) - low) / (bands + 1);
  return (mel_of(hz) - low) / step - 1;
}

Image bands_picture(const media::LogMel& mel) {
  const auto [low, high] = std::minmax_element(mel.values.begin(), mel.values.end());
  const float least = *low, range = std::max(*high - *low, 1e-6F);
  Image picture{int(mel.frames()), mel.bands, 1, {}};
  picture.pixels.reserve(mel.values.size());
  for (int y = 0; y < mel.bands; ++y)
    for (int64_t x = 0; x < mel.frames(); ++x) {
      const float value = mel.values[size_t(x * mel.bands + mel.bands - 1 - y)];
      picture.pixels.push_back(uint8_t(std::lround(255 * (value - least) / range)));
    }
  return picture;
}

Image in_colour(const Image& gray) {
  Image colour{gray.width, gray.height, 3, {}};
  colour.pixels.reserve(gray.pixels.size() * 3);
  for (const uint8_t value : gray.pixels) colour.pixels.insert(colour.pixels.end(), 3, value);
  return colour;
}

struct Plot {
  Image page;
  double width = 0, height = 0;
};

void draw_seconds(Plot& plot, const media::LogMel& mel) {
  const double start = mel.seconds.front() - shift_s / 2, end = mel.seconds.back() + shift_s / 2, bottom = top + plot.height;
  const std::vector<double> values = ticks(start, end, 8);
  for (const double value : values) {
    const double x = left + (value - start) / (end - start) * plot.width;
    media::draw_line(plot.page, {x, bottom}, {x, bottom + 7}, faint_ink, 1);
    write(plot.page, tick_text(value, tick_step(values)), x, bottom + 28, text_size, faint_ink, Align::center);
  }
  write(plot.page, "seconds", left + plot.width / 2, bottom + 56, text_size, faint_ink, Align::center);
}

void draw_hertz(Plot& plot, const media::LogMel& mel, int rate) {
  double last_y = top + plot.height + 30;
  for (const double hz : {100.0, 200.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0, 16000.0}) {
    const double row = row_of(hz, mel.bands, rate), y = top + plot.height * (1 - (row + 0.5) / mel.bands);
    if (y < top - 1 || y > top + plot.height + 1 || last_y - y < 20) continue;
    last_y = y;
    media::draw_line(plot.page, {left - 7, y}, {left, y}, faint_ink, 1);
    write(plot.page, tick_text(hz, 1), left - 12, y + 6, text_size, faint_ink, Align::right);
  }
  write(plot.page, "Hz", left - 12, top - 14, text_size, faint_ink, Align::right);
}

}  // namespace

Image draw_log_mel(const media::LogMel& mel, int rate, const std::string& title) {
  if (mel.frames() == 0) throw DataError("the sound of {} is shorter than one window of 25 ms", title).hint("give a longer clip");
  const int width = int(std::clamp<int64_t>(mel.frames(), narrowest, widest)), height = std::max(192, mel.bands * 3);
  Plot plot{blank_page(int(left + right_margin) + width, int(top + below) + height), double(width), double(height)};
  media::paste(plot.page, in_colour(media::resize(bands_picture(mel), width, height)), int(left), int(top));
  const std::string facts = fmt::format("   {} mel bands of sound at {} Hz", mel.bands, rate);
  const int title_width = width - media::text_width(facts, text_size);
  write(plot.page, media::shortened_text(title, text_size, title_width) + facts, left, 34, text_size, ink);
  draw_seconds(plot, mel);
  draw_hertz(plot, mel, rate);
  return std::move(plot.page);
}

}  // namespace microemo::report
