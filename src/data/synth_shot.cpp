#include "synth_shot.h"

#include <algorithm>
#include <cmath>

namespace microemo::data {
namespace {

// Ellipses about the head, semi-axes in eye distances.
constexpr double sharp_x = 1.25, sharp_y = 1.6, sharp_edge = 0.3;
constexpr double window_x = 1.65, window_y = 1.95, rigid_part = 0.72;
constexpr double center_below_eyes = 0.35;

constexpr int background_shrink = 2;
constexpr int blur_radius = 7, blur_passes = 3;

/// Interleaved RGB in floating point: the blurred background must not show steps.
struct Picture {
  int width, height;
  std::vector<float> values;
  float* at(int x, int y) { return &values[3 * (size_t(y) * size_t(width) + size_t(x))]; }
  const float* at(int x, int y) const { return &values[3 * (size_t(y) * size_t(width) + size_t(x))]; }
};

int reflected(int i, int count) {
  const int period = 2 * count - 2;
  i = ((i % period) + period) % period;
  return i < count ? i : period - i;
}

double smooth_step(double low, double high, double x) {
  const double t = std::clamp((x - low) / (high - low), 0.0, 1.0);
  return t * t * (3.0 - 2.0 * t);
}

/// Pixels of the shot to pixels of the photograph.
struct Mapping {
  media::Point photograph_center, shot_center;
  double scale;  ///< pixels of the shot for one of the photograph
  double photograph_x(double x) const { return photograph_center.x + (x - shot_center.x) / scale; }
  double photograph_y(double y) const { return photograph_center.y + (y - shot_center.y) / scale; }
  media::Point to_shot(media::Point p) const {
    return {shot_center.x + scale * (p.x - photograph_center.x), shot_center.y + scale * (p.y - photograph_center.y)};
  }
};

Mapping make_mapping(const ClipScript& script, const Portrait& portrait) {
  const FaceFrame face = face_frame(portrait.landmarks);
  const double below = center_below_eyes * face.eye_distance;
  return {{face.middle.x + below * face.down.x, face.middle.y + below * face.down.y},
          {script.head_x, script.head_y},
          script.eye_distance / face.eye_distance};
}

/// Weights and indices of one axis of a Catmull-Rom interpolation.
struct Taps {
  std::array<int, 4> index;
  std::array<float, 4> weight;
};

Taps taps_at(double position, int count) {
  const double whole = std::floor(position);
  const auto t = float(position - whole);
  Taps taps{};
  for (int k = 0; k < 4; ++k) taps.index[size_t(k)] = reflected(int(whole) + k - 1, count);
  taps.weight = {t * (-0.5F + t * (1.0F - 0.5F * t)), 1.0F + t * t * (-2.5F + 1.5F * t), t * (0.5F + t * (2.0F - 1.5F * t)),
                 t * t * (-0.5F + 0.5F * t)};
  return taps;
}

std::array<float, 3> interpolate(const media::Image& image, const Taps& columns, const Taps& rows) {
  std::array<float, 3> sum{};
  for (size_t j = 0; j < 4; ++j) {
    const uint8_t* row = image.row(rows.index[j]);
    for (size_t i = 0; i < 4; ++i) {
      const float weight = rows.weight[j] * columns.weight[i];
      const uint8_t* pixel = row + 3 * columns.index[i];
      for (size_t c = 0; c < 3; ++c) sum[c] += weight * float(pixel[c]);
    }
  }
  return sum;
}

/// The photograph in the shot, coarse: it is blurred anyway.
Picture coarse_view(const Mapping& mapping, const media::Image& photograph) {
  Picture view{synth_width / background_shrink, synth_height / background_shrink, {}};
  view.values.resize(size_t(view.width) * size_t(view.height) * 3);
  for (int y = 0; y < view.height; ++y) {
    const uint8_t* row =
        photograph.row(reflected(int(std::lround(mapping.photograph_y(y * background_shrink + 0.5))), photograph.height));
    for (int x = 0; x < view.width; ++x) {
      const uint8_t* pixel =
          row + 3 * reflected(int(std::lround(mapping.photograph_x(x * background_shrink + 0.5))), photograph.width);
      std::copy_n(pixel, 3, view.at(x, y));
    }
  }
  return view;
}

/// A running mean over 2 * blur_radius + 1 values of `count`, `stride` floats apart, borders repeated.
void box_blur_line(float* line, int count, size_t stride, std::vector<float>& copy) {
  for (int i = 0; i < count; ++i) copy[size_t(i)] = line[size_t(i) * stride];
  const auto value = [&](int i) { return copy[size_t(std::clamp(i, 0, count - 1))]; };
  double sum = 0;
  for (int i = -blur_radius; i <= blur_radius; ++i) sum += value(i);
  for (int i = 0; i < count; ++i) {
    line[size_t(i) * stride] = float(sum / (2 * blur_radius + 1));
    sum += value(i + blur_radius + 1) - value(i - blur_radius);
  }
}

void blur(Picture& picture) {
  std::vector<float> copy(size_t(std::max(picture.width, picture.height)));
  for (int pass = 0; pass < blur_passes; ++pass)
    for (int c = 0; c < 3; ++c) {
      for (int y = 0; y < picture.height; ++y) box_blur_line(picture.at(0, y) + c, picture.width, 3, copy);
      for (int x = 0; x < picture.width; ++x)
        box_blur_line(picture.at(x, 0) + c, picture.height, 3 * size_t(picture.width), copy);
    }
}

/// The blurred background at a place of the shot.
std::array<float, 3> background_at(const Picture& blurred, double x, double y) {
  const double u = std::clamp((x + 0.5) / background_shrink - 0.5, 0.0, blurred.width - 1.001),
               v = std::clamp((y + 0.5) / background_shrink - 0.5, 0.0, blurred.height - 1.001);
  const auto i = int(u), j = int(v);
  const auto s = float(u - i), t = float(v - j);
  const float *a = blurred.at(i, j), *b = blurred.at(i + 1, j), *c = blurred.at(i, j + 1), *d = blurred.at(i + 1, j + 1);
  std::array<float, 3> mixed{};
  for (size_t k = 0; k < 3; ++k) mixed[k] = (1 - t) * ((1 - s) * a[k] + s * b[k]) + t * ((1 - s) * c[k] + s * d[k]);
  return mixed;
}

uint8_t to_byte(double value) { return uint8_t(std::clamp(value + 0.5, 0.0, 255.0)); }

double ellipse_radius(const ClipScript& script, double x, double y, double semi_x, double semi_y) {
  return std::hypot((x - script.head_x) / (semi_x * script.eye_distance), (y - script.head_y) / (semi_y * script.eye_distance));
}

Area window_of(const ClipScript& script) {
  const double half_width = window_x * script.eye_distance, half_height = window_y * script.eye_distance;
  const int left = std::max(0, int(script.head_x - half_width)), top = std::max(0, int(script.head_y - half_height));
  return {left, top, std::min(synth_width, int(script.head_x + half_width) + 2) - left,
          std::min(synth_height, int(script.head_y + half_height) + 2) - top};
}

media::Image render_background(const Picture& blurred, double gain) {
  media::Image image{synth_width, synth_height, 3, {}};
  image.pixels.reserve(size_t(synth_width) * synth_height * 3);
  for (int y = 0; y < synth_height; ++y)
    for (int x = 0; x < synth_width; ++x)
      for (float value : background_at(blurred, x, y)) image.pixels.push_back(to_byte(gain * value));
  return image;
}

media::Image render_head(const ClipScript& script, const Mapping& mapping, const Portrait& portrait, const Picture& blurred,
                         const Area& window) {
  const double step = 1.0 / Shot::oversampling, first = 0.5 * step - 0.5;
  const media::Image& photograph = *portrait.photograph;
  media::Image head{window.width * Shot::oversampling, window.height * Shot::oversampling, portrait.colored ? 3 : 1, {}};
  head.pixels.reserve(size_t(head.width) * size_t(head.height) * size_t(head.channels));
  std::vector<Taps> columns;
  for (int i = 0; i < head.width; ++i)
    columns.push_back(taps_at(mapping.photograph_x(window.left + first + i * step), photograph.width));
  for (int j = 0; j < head.height; ++j) {
    const double y = window.top + first + j * step;
    const Taps rows = taps_at(mapping.photograph_y(y), photograph.height);
    for (int i = 0; i < head.width; ++i) {
      const double x = window.left + first + i * step;
      const double focus =
          1.0 - smooth_step(1.0 - sharp_edge / 2, 1.0 + sharp_edge / 2, ellipse_radius(script, x, y, sharp_x, sharp_y));
      const std::array<float, 3> far = background_at(blurred, x, y),
                                 near = focus > 0 ? interpolate(photograph, columns[size_t(i)], rows) : far;
      for (size_t c = 0; c < size_t(head.channels); ++c)
        head.pixels.push_back(to_byte(script.gain * (focus * near[c] + (1.0 - focus) * far[c])));
    }
  }
  return head;
}

}  // namespace

Shot compose_shot(const ClipScript& script, const Portrait& portrait) {
  const Mapping mapping = make_mapping(script, portrait);
  Picture blurred = coarse_view(mapping, *portrait.photograph);
  blur(blurred);
  Shot shot;
  shot.window = window_of(script);
  shot.background = render_background(blurred, script.gain);
  shot.head = render_head(script, mapping, portrait, blurred, shot.window);
  for (int y = 0; y < shot.window.height; ++y)
    for (int x = 0; x < shot.window.width; ++x) {
      const double radius = ellipse_radius(script, shot.window.left + x, shot.window.top + y, window_x, window_y);
      shot.motion.push_back(float(1.0 - smooth_step(rigid_part, 1.0, radius)));
    }
  std::ranges::transform(portrait.landmarks, shot.landmarks.begin(), [&](media::Point p) { return mapping.to_shot(p); });
  return shot;
}

}  // namespace microemo::data
