#include "microemo/media/crops.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>

#include <opencv2/imgproc.hpp>

#include "matrix.h"
#include "mean_face.h"
#include "microemo/base/error.h"

namespace microemo::media {
namespace {

// Outer and inner eye corners and the bridge of the nose: facial movements leave them in place.
constexpr std::array<int, 8> rigid_points = {36, 39, 42, 45, 27, 28, 29, 30};
constexpr int right_corner = 0, left_corner = 3;  // of the eyes, in rigid_points
constexpr double eye_left = 0.22, eye_right = 0.78, eye_height = 0.36;
// A jump of the crop by this part of its side from one frame to the next is a cut, across which nothing is smoothed.
constexpr double cut_jump = 0.25;

using Shape = std::vector<Point>;

Shape shape_of(const Face& face, std::span<const int> points) {
  Shape shape;
  for (const int point : points) shape.push_back(face.landmarks[size_t(point)]);
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
  Shape result(shape.size());
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
  Shape result(rigid_points.size());
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

/// What each of the frames around one adds to its smoothed value: Gaussian weights over time, renormalised at the ends; or those
/// of the parabola that fits best under them, at its middle (Savitzky and Golay 1964 with weights).
std::vector<double> weights_around(int frame, int first, int last, const AlignOptions& options) {
  std::vector<double> weights;
  std::array<double, 5> moments{};
  for (int j = first; j <= last; ++j) {
    const double offset = j - frame;
    weights.push_back(std::exp(-0.5 * offset * offset / (options.smooth_frames * options.smooth_frames)));
    for (int power = 0; power < 5; ++power) moments[size_t(power)] += weights.back() * std::pow(offset, power);
  }
  cv::Vec3d polynomial(1 / moments[0], 0, 0);
  if (options.follow_motion && weights.size() >= 3) {
    const cv::Matx33d normal(moments[0], moments[1], moments[2], moments[1], moments[2], moments[3], moments[2], moments[3],
                             moments[4]);
    polynomial = normal.solve(cv::Vec3d(1, 0, 0), cv::DECOMP_CHOLESKY);
  }
  for (int j = first; j <= last; ++j) {
    const double offset = j - frame;
    weights[size_t(j - first)] *= polynomial[0] + polynomial[1] * offset + polynomial[2] * offset * offset;
  }
  return weights;
}

/// Averaging the four numbers averages the positions of every crop pixel.
std::vector<Similarity> smoothed(std::span<const Similarity> run, const AlignOptions& options) {
  if (options.smooth_frames <= 0) return {run.begin(), run.end()};
  const int reach = int(std::ceil(3 * options.smooth_frames)), count = int(run.size());
  std::vector<Similarity> result;
  for (int i = 0; i < count; ++i) {
    const int first = std::max(0, i - reach), last = std::min(count - 1, i + reach);
    const std::vector<double> weights = weights_around(i, first, last, options);
    Similarity sum{0, 0, 0, 0};
    for (int j = first; j <= last; ++j) {
      const double w = weights[size_t(j - first)];
      const Similarity& s = run[size_t(j)];
      sum = {sum.a + w * s.a, sum.b + w * s.b, sum.x + w * s.x, sum.y + w * s.y};
    }
    result.push_back(sum);
  }
  return result;
}

/// Where the points of the style lie in the crop; nothing when no face can be aligned.
std::optional<Shape> target_shape(const std::vector<std::optional<Face>>& track, const AlignOptions& options) {
  Shape target;
  if (options.style == CropStyle::openface) {
    for (const Point& point : mean_face) target.push_back({point.x * options.size, point.y * options.size});
    return target;
  }
  std::vector<Shape> shapes;
  for (const auto& face : track)
    if (face)
      if (const auto shape = normalized(shape_of(*face, rigid_points))) shapes.push_back(*shape);
  if (shapes.empty()) return std::nullopt;
  return shape_in_crop(shapes, options.size);
}

}  // namespace

std::vector<std::optional<Similarity>> align_faces(const std::vector<std::optional<Face>>& track, const AlignOptions& options) {
  MICROEMO_CHECK(options.size > 0, "crops of {} pixels", options.size);
  std::vector<std::optional<Similarity>> result(track.size());
  const auto target = target_shape(track, options);
  if (!target) return result;
  const std::span<const int> points =
      options.style == CropStyle::openface ? std::span<const int>(openface_points) : std::span<const int>(rigid_points);
  std::vector<Similarity> run;
  for (size_t i = 0; i <= track.size(); ++i) {
    std::optional<Similarity> here;
    if (i < track.size() && track[i] && normalized(shape_of(*track[i], rigid_points)))
      here = fit(*target, shape_of(*track[i], points));
    if (!run.empty() && (!here || is_cut(run.back(), *here, options.size))) {
      const auto smooth = smoothed(run, options);
      std::copy(smooth.begin(), smooth.end(), result.begin() + std::ptrdiff_t(i - run.size()));
      run.clear();
    }
    if (here) run.push_back(*here);
  }
  return result;
}

std::vector<std::optional<Similarity>> align_faces(const std::vector<std::optional<Face>>& track, int size,
                                                   double smooth_frames) {
  return align_faces(track, {.size = size, .smooth_frames = smooth_frames});
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
