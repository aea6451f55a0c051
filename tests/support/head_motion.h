#pragma once
#include <cmath>
#include <numbers>
#include <optional>
#include <vector>

#include "microemo/media/crops.h"

// A head that moves in a known way, for the tests and benches of alignment.

namespace microemo::test {

/// From the pixels of a square photograph of `side` to those of a square frame of `frame_side` in which a head moves: from side
/// to side by an eighth of the frame in 2 s, up and down, turned by up to 6 degrees, and nearer and farther by 8 %; `speed` times
/// as fast.
inline media::Similarity head_pose(double seconds, double side, double frame_side, double speed) {
  const auto wave = [&](double hertz, double phase) {
    return std::sin(2 * std::numbers::pi * (speed * hertz * seconds + phase));
  };
  const double angle = 6 * std::numbers::pi / 180 * wave(0.4, 0.1),
               scale = 0.625 * frame_side / side * (1 + 0.08 * wave(0.3, 0.3));
  media::Similarity s{scale * std::cos(angle), scale * std::sin(angle), 0, 0};
  const media::Point middle = s.apply({side / 2, side / 2});
  s.x = frame_side * (0.5 + wave(0.5, 0) / 16) - middle.x;
  s.y = frame_side * (0.4 + wave(0.8, 0.2) / 50) - middle.y;
  return s;
}

inline media::Similarity inverse(const media::Similarity& s) {
  const double square = s.a * s.a + s.b * s.b, a = s.a / square, b = -s.b / square;
  return {a, b, -(a * s.x - b * s.y), -(b * s.x + a * s.y)};
}

/// The photograph in its pose, with the grain of a camera (grey levels, evenly in ± `grain`), which is a function of the frame's
/// number.
inline media::Image posed(const media::Image& photograph, const media::Similarity& pose, int frame_side, int grain,
                          uint32_t number) {
  media::Image frame = media::crop_face(photograph, inverse(pose), frame_side);
  uint32_t state = 2654435761U * (number + 1);
  for (uint8_t& value : frame.pixels) {
    state = state * 1664525U + 1013904223U;
    const int noise = grain > 0 ? int(state >> 16) % (2 * grain + 1) - grain : 0;
    value = uint8_t(std::min(255, std::max(0, int(value) + noise)));
  }
  return frame;
}

/// What is left of the motion: how far the places that crop pixels show move in the photograph, root mean square over frames and
/// a grid of 25 points, in pixels of the crop.
inline double jitter(const std::vector<std::optional<media::Similarity>>& aligned, const std::vector<media::Similarity>& poses,
                     int size) {
  double sum = 0, count = 0;
  for (int point = 0; point < 25; ++point) {
    const media::Point at{size * (point % 5) / 4.0, size * (point / 5) / 4.0};
    std::vector<media::Point> places;
    media::Point mean;
    double scale = 0;
    for (size_t i = 0; i < aligned.size(); ++i) {
      if (!aligned[i]) continue;
      const media::Similarity back = inverse(poses[i]);
      places.push_back(back.apply(aligned[i]->apply(at)));
      scale += std::hypot(back.a, back.b) * std::hypot(aligned[i]->a, aligned[i]->b);
      mean = {mean.x + places.back().x, mean.y + places.back().y};
    }
    const double n = double(places.size());
    for (const media::Point& p : places)
      sum += (std::pow(p.x - mean.x / n, 2) + std::pow(p.y - mean.y / n, 2)) * n * n / (scale * scale);
    count += n;
  }
  return std::sqrt(sum / count);
}

}  // namespace microemo::test
