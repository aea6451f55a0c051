#include "microemo/media/crops.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>

#include <opencv2/imgproc.hpp>

#include "matrix.h"
#include "microemo/base/error.h"

namespace microemo::media {
namespace {

// Outer and inner eye corners and the bridge of the nose: facial movements leave them in place.
constexpr std::array<int, 8> rigid_points = {36, 39, 42, 45, 27, 28, 29, 30};
constexpr int right_corner = 0, left_corner = 3;  // of the eyes, in rigid_points
constexpr double eye_left = 0.22, eye_right = 0.78, eye_height = 0.36;
// A jump of the crop by this part of its side from one frame to the next is a cut, across which nothing is smoothed.
constexpr double cut_jump = 0.25;

using Shape = std::array<Point, rigid_points.size()>;

Shape rigid_shape(const Face& face) {
  Shape shape;
  for (size_t i = 0; i < shape.size(); ++i) shape[i] = face.landmarks[size_t(rigid_points[i])];
  return shape;
}

/// The similarity that maps `from` onto `to` with the least sum of squared distances.
Similarity fit(const Shape& from, const Shape& to) {
  const double n = double(from.size());
  Point from_mean, to_mean;
  for (size_t i = 0; i < from.size(); ++i) {
    from_mean = {from_mean.x + from[i].x / n, from_mean.y + from[i].y / n};
    to_mean = {to_mean.x + to[i].x / n, to_mean.y + to[i].y / n};
  }
  double dot = 0, cross = 0, norm = 0;
  for (size_t i = 0; i < from.size(); ++i) {
    const double fx = from[i].x - from_mean.x, fy = from[i].y - from_mean.y, tx = to[i].x - to_mean.x, ty = to[i].y - to_mean.y;
    dot += fx * tx + fy * ty;
    cross += fx * ty - fy * tx;
    norm += fx * fx + fy * fy;
  }
  Similarity s{dot / norm, cross / norm, 0, 0};
  const Point moved = s.apply(from_mean);
  s.x = to_mean.x - moved.x;
  s.y = to_mean.y - moved.y;
  return s;
}

/// The shape in coordinates where the right eye's outer corner is (0, 0) and the left one's (1, 0); nothing when they coincide.
std::optional<Shape> normalized(const Shape& shape) {
  const Point origin = shape[right_corner];
  const double ax = shape[left_corner].x - origin.x, ay = shape[left_corner].y - origin.y, square = ax * ax + ay * ay;
  if (square < 1) return std::nullopt;
  Shape result;
  for (size_t i = 0; i < shape.size(); ++i) {
    const double x = shape[i].x - origin.x, y = shape[i].y - origin.y;
    result[i] = {(x * ax + y * ay) / square, (y * ax - x * ay) / square};
  }
  return result;
}

double median(std::vector<double>& values) {
  const auto middle = values.begin() + std::ptrdiff_t(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// The clip's own rigid shape (median over its frames), placed in the crop.
Shape shape_in_crop(const std::vector<Shape>& shapes, int size) {
  Shape result;
  std::vector<double> x(shapes.size()), y(shapes.size());
  for (size_t point = 0; point < result.size(); ++point) {
    for (size_t i = 0; i < shapes.size(); ++i) x[i] = shapes[i][point].x, y[i] = shapes[i][point].y;
    const double unit = (eye_right - eye_left) * size;
    result[point] = {eye_left * size + unit * median(x), eye_height * size + unit * median(y)};
  }
  return result;
}

bool is_cut(const Similarity& a, const Similarity& b, int size) {
  const Point middle{size / 2.0, size / 2.0}, p = a.apply(middle), q = b.apply(middle);
  return std::hypot(p.x - q.x, p.y - q.y) > cut_jump * size * std::hypot(a.a, a.b);
}

/// Gaussian over time, renormalised at the ends. Averaging the four numbers averages the positions of every crop pixel.
std::vector<Similarity> smoothed(std::span<const Similarity> run, double sigma) {
  if (sigma <= 0) return {run.begin(), run.end()};
  const int reach = int(std::ceil(3 * sigma)), count = int(run.size());
  std::vector<Similarity> result;
  for (int i = 0; i < count; ++i) {
    Similarity sum{0, 0, 0, 0};
    double weight = 0;
    for (int j = std::max(0, i - reach); j <= std::min(count - 1, i + reach); ++j) {
      const double w = std::exp(-0.5 * (i - j) * (i - j) / (sigma * sigma));
      weight += w;
      sum = {sum.a + w * run[j].a, sum.b + w * run[j].b, sum.x + w * run[j].x, sum.y + w * run[j].y};
    }
    result.push_back({sum.a / weight, sum.b / weight, sum.x / weight, sum.y / weight});
  }
  return result;
}

}  // namespace

std::vector<std::optional<Similarity>> align_faces(const std::vector<std::optional<Face>>& track, int size,
                                                   double smooth_frames) {
  MICROEMO_CHECK(size > 0, "crops of {} pixels", size);
  std::vector<Shape> shapes;
  std::vector<std::optional<Similarity>> result(track.size());
  for (const auto& face : track)
    if (face)
      if (const auto shape = normalized(rigid_shape(*face))) shapes.push_back(*shape);
  if (shapes.empty()) return result;
  const Shape target = shape_in_crop(shapes, size);
  std::vector<Similarity> run;
  for (size_t i = 0; i <= track.size(); ++i) {
    std::optional<Similarity> here;
    if (i < track.size() && track[i] && normalized(rigid_shape(*track[i]))) here = fit(target, rigid_shape(*track[i]));
    if (!run.empty() && (!here || is_cut(run.back(), *here, size))) {
      const auto smooth = smoothed(run, smooth_frames);
      std::copy(smooth.begin(), smooth.end(), result.begin() + std::ptrdiff_t(i - run.size()));
      run.clear();
    }
    if (here) run.push_back(*here);
  }
  return result;
}

Image crop_face(const Image& frame, const Similarity& s, int size) {
  // A face larger than its crop is cut out `fine` times larger and averaged down: bilinear sampling alone would alias.
  const int fine = std::max(1, int(std::ceil(std::hypot(s.a, s.b) - 0.25)));
  const double shift = (fine - 1) / 2.0;
  const Point origin = s.apply({-shift / fine, -shift / fine});
  const cv::Matx23d map(s.a / fine, -s.b / fine, origin.x, s.b / fine, s.a / fine, origin.y);
  Image crop = blank(size * fine, size * fine, frame.channels);
  cv::Mat target = matrix(crop);
  cv::warpAffine(matrix(frame), target, map, target.size(), cv::INTER_LINEAR | cv::WARP_INVERSE_MAP, cv::BORDER_REPLICATE);
  return resize(crop, size, size);
}

}  // namespace microemo::media
