#include "microemo/data/synth_warp.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "microemo/base/error.h"

namespace microemo::data {
namespace {

/// Where a landmark goes: `out` away from the middle of the face, `up` along it, in eye distances; `reach` is the Gaussian's
/// standard deviation.
struct Control {
  int landmark;
  double out, up, reach;
};

void add_run(std::vector<Control>& controls, int first, int last, const Control& like) {
  for (int landmark = first; landmark <= last; ++landmark) controls.push_back({landmark, like.out, like.up, like.reach});
}

std::vector<Control> lip_corners(double out, double up) {
  std::vector<Control> controls;
  for (const auto& [landmark, weight] :
       {std::pair{48, 1.0}, {49, 0.6}, {59, 0.6}, {60, 0.9}, {54, 1.0}, {53, 0.6}, {55, 0.6}, {64, 0.9}})
    controls.push_back({landmark, out * weight, up * weight, 0.13});
  return controls;
}

std::vector<Control> lids(double upper, double lower) {
  std::vector<Control> controls;
  for (int landmark : {37, 38, 43, 44}) controls.push_back({landmark, 0, -upper, 0.06});
  if (lower > 0)
    for (int landmark : {40, 41, 46, 47}) controls.push_back({landmark, 0, lower, 0.06});
  return controls;
}

std::vector<Control> controls_of(FaceUnit unit) {
  std::vector<Control> controls;
  switch (unit) {
    case FaceUnit::none:
      break;
    case FaceUnit::brow_up:
      add_run(controls, 17, 26, {0, 0, 1.0, 0.10});
      break;
    case FaceUnit::brow_down:
      add_run(controls, 18, 25, {0, -0.5, -0.8, 0.10});
      break;
    case FaceUnit::lip_up:
      return lip_corners(0.5, 0.9);
    case FaceUnit::lip_down:
      return lip_corners(0, -1.0);
    case FaceUnit::lid:
      return lids(0.7, 0.7);
    case FaceUnit::nose:
      add_run(controls, 31, 35, {0, 0, 1.0, 0.11});
      add_run(controls, 50, 52, {0, 0, 0.7, 0.11});
      add_run(controls, 21, 22, {0, 0, -0.4, 0.11});
      break;
  }
  MICROEMO_CHECK(!controls.empty(), "a face at rest has no warp");
  return controls;
}

double dot(media::Point a, media::Point b) { return a.x * b.x + a.y * b.y; }

/// A control point ready to be summed: place, displacement in pixels, and 1 / (2 reach^2).
struct Pull {
  media::Point at, by;
  double sharpness;
};

Area around(const std::vector<Pull>& pulls, double margin) {
  double left = pulls[0].at.x, right = left, top = pulls[0].at.y, bottom = top;
  for (const Pull& pull : pulls) {
    left = std::min(left, pull.at.x), right = std::max(right, pull.at.x);
    top = std::min(top, pull.at.y), bottom = std::max(bottom, pull.at.y);
  }
  const auto x = int(std::floor(left - margin)), y = int(std::floor(top - margin));
  return {x, y, int(std::ceil(right + margin)) - x + 1, int(std::ceil(bottom + margin)) - y + 1};
}

media::Point displacement(const std::vector<Pull>& pulls, double x, double y) {
  double weight_sum = 0, dx = 0, dy = 0;
  for (const Pull& pull : pulls) {
    const double distance = (x - pull.at.x) * (x - pull.at.x) + (y - pull.at.y) * (y - pull.at.y);
    const double weight = std::exp(-distance * pull.sharpness);
    weight_sum += weight, dx += weight * pull.by.x, dy += weight * pull.by.y;
  }
  const double scale = 1.0 / std::max(1.0, weight_sum);
  return {dx * scale, dy * scale};
}

WarpField warp(const FaceFrame& face, const std::vector<Control>& controls) {
  std::vector<Pull> pulls;
  double widest = 0;
  for (const Control& control : controls) {
    const media::Point at = face.landmarks[size_t(control.landmark)];
    const double side = dot({at.x - face.middle.x, at.y - face.middle.y}, face.right) < 0 ? -1.0 : 1.0;
    const double across = side * control.out * face.eye_distance, down = -control.up * face.eye_distance;
    const double reach = control.reach * face.eye_distance;
    pulls.push_back(
        {at, {across * face.right.x + down * face.down.x, across * face.right.y + down * face.down.y}, 0.5 / (reach * reach)});
    widest = std::max(widest, reach);
  }
  WarpField field{around(pulls, 3.5 * widest), {}, {}};
  for (int row = 0; row < field.area.height; ++row)
    for (int column = 0; column < field.area.width; ++column) {
      const media::Point d = displacement(pulls, field.area.left + column, field.area.top + row);
      field.x.push_back(float(d.x)), field.y.push_back(float(d.y));
    }
  return field;
}

}  // namespace

FaceFrame face_frame(const std::array<media::Point, 68>& landmarks) {
  FaceFrame face;
  face.landmarks = landmarks;
  const media::Point a = landmarks[36], b = landmarks[45];
  face.eye_distance = std::hypot(b.x - a.x, b.y - a.y);
  face.right = {(b.x - a.x) / face.eye_distance, (b.y - a.y) / face.eye_distance};
  face.down = {-face.right.y, face.right.x};
  face.middle = {(a.x + b.x) / 2.0, (a.y + b.y) / 2.0};
  return face;
}

WarpField warp_unit(const FaceFrame& face, FaceUnit unit) { return warp(face, controls_of(unit)); }

WarpField warp_talk(const FaceFrame& face) {
  std::vector<Control> controls;
  add_run(controls, 55, 59, {0, 0, -1.0, 0.14});
  add_run(controls, 65, 67, {0, 0, -1.0, 0.14});
  add_run(controls, 7, 9, {0, 0, -0.7, 0.20});
  return warp(face, controls);
}

WarpField warp_blink(const FaceFrame& face) { return warp(face, lids(1.0, 0)); }

void add_scaled(WarpField& sum, const WarpField& field, float amount) {
  const int dx = field.area.left - sum.area.left, dy = field.area.top - sum.area.top;
  const int first = std::max(0, -dx), last = std::min(field.area.width, sum.area.width - dx);
  for (int row = std::max(0, -dy); row < std::min(field.area.height, sum.area.height - dy); ++row) {
    const size_t from = size_t(row) * size_t(field.area.width),
                 to = size_t(row + dy) * size_t(sum.area.width) + size_t(dx + first) - size_t(first);
    for (int column = first; column < last; ++column) {
      sum.x[to + size_t(column)] += amount * field.x[from + size_t(column)];
      sum.y[to + size_t(column)] += amount * field.y[from + size_t(column)];
    }
  }
}

}  // namespace microemo::data
