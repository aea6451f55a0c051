#include <algorithm>
#include <cmath>
#include <vector>

#include <opencv2/imgproc.hpp>

#include "matrix.h"
#include "microemo/base/error.h"
#include "microemo/media/crops.h"

namespace microemo::media {
namespace {

constexpr int side = 112;     // pixels in which crops are registered, whatever their size
constexpr double blur = 1.0;  // standard deviation: gradients of single pixels do not hold over a step of one pixel
constexpr int most_steps = 12;
constexpr double small_step = 0.003;  // pixels
constexpr double huber = 6;           // grey levels
constexpr double farthest = 0.1;      // of the side, from the landmarks
constexpr double alike = 0.9;         // below, the reference is exchanged
constexpr double unlike = 0.5;        // below, the registration has failed

/// Gaussian weights around eyes and nose: neither mouth nor brows.
cv::Mat rigid_weights(CropStyle style) {
  const double middle_x = 0.5 * side, middle_y = (style == CropStyle::eyes ? 0.48 : 0.38) * side;
  cv::Mat weights(side, side, CV_32F);
  for (int y = 0; y < side; ++y)
    for (int x = 0; x < side; ++x)
      weights.at<float>(y, x) =
          float(std::exp(-0.5 * (std::pow((x - middle_x) / (0.2 * side), 2) + std::pow((y - middle_y) / (0.14 * side), 2))));
  return weights;
}

/// `outer` after `inner`: maps a point as outer.apply(inner.apply(point)).
Similarity after(const Similarity& outer, const Similarity& inner) {
  const Point place = outer.apply({inner.x, inner.y});
  return {outer.a * inner.a - outer.b * inner.b, outer.a * inner.b + outer.b * inner.a, place.x, place.y};
}

Similarity inverse(const Similarity& s) {
  const double square = s.a * s.a + s.b * s.b, a = s.a / square, b = -s.b / square;
  return {a, b, -(a * s.x - b * s.y), -(b * s.x + a * s.y)};
}

/// The crop's grey levels, of mean 0 and deviation 40 under the weights: neither brightness nor contrast is left in them.
cv::Mat levels(const Image& gray, const Similarity& similarity, const cv::Mat& weights) {
  const Image crop = crop_face(gray, similarity, side);
  cv::Mat values, squares;
  matrix(crop).convertTo(values, CV_32F);
  cv::GaussianBlur(values, values, {0, 0}, blur, blur, cv::BORDER_REPLICATE);
  const double total = cv::sum(weights)[0];
  values -= values.dot(weights) / total;
  cv::multiply(values, values, squares);
  const double deviation = std::sqrt(squares.dot(weights) / total);
  return deviation > 0 ? cv::Mat(values * (40 / deviation)) : values;
}

double likeness(const cv::Mat& a, const cv::Mat& b, const cv::Mat& weights) {
  const cv::Mat weighted = a.mul(weights);
  const double norm = std::sqrt(weighted.dot(a) * b.mul(weights).dot(b));
  return norm > 0 ? weighted.dot(b) / norm : 0;
}

/// A crop that others are registered with, and what its grey levels do when it is scaled, turned and moved about its middle.
struct Reference {
  cv::Mat values;
  std::vector<cv::Vec4f> slopes;

  explicit Reference(const cv::Mat& crop) : values(crop) {
    cv::Mat dx, dy;
    cv::Scharr(crop, dx, CV_32F, 1, 0, 1.0 / 32, 0, cv::BORDER_REPLICATE);
    cv::Scharr(crop, dy, CV_32F, 0, 1, 1.0 / 32, 0, cv::BORDER_REPLICATE);
    for (int y = 0; y < side; ++y)
      for (int x = 0; x < side; ++x) {
        // Lengths of half a side as units, so that all four numbers are pixels.
        const float u = (float(x) - side / 2.0F) / (side / 2.0F), v = (float(y) - side / 2.0F) / (side / 2.0F);
        const float gx = dx.at<float>(y, x), gy = dy.at<float>(y, x);
        slopes.emplace_back(gx * u + gy * v, gy * u - gx * v, gx, gy);
      }
  }
};

/// The step that brings `values` onto the reference, as a map of the crop onto itself.
cv::Vec4d step_towards(const Reference& reference, const cv::Mat& values, const cv::Mat& weights) {
  cv::Matx44d normal = cv::Matx44d::eye() * 1e-6;
  cv::Vec4d right;
  const auto* const now = values.ptr<float>();
  const auto* const then = reference.values.ptr<float>();
  const auto* const weight = weights.ptr<float>();
  for (size_t i = 0; i < reference.slopes.size(); ++i) {
    if (weight[i] < 0.01F) continue;
    const double error = double(now[i]) - then[i], size = std::abs(error);
    const double w = weight[i] * (size > huber ? huber / size : 1.0);
    const cv::Vec4f& slope = reference.slopes[i];
    for (int row = 0; row < 4; ++row) {
      right[row] += w * slope[row] * error;
      for (int column = row; column < 4; ++column) normal(row, column) += w * slope[row] * slope[column];
    }
  }
  for (int row = 0; row < 4; ++row)
    for (int column = 0; column < row; ++column) normal(row, column) = normal(column, row);
  return normal.solve(right, cv::DECOMP_CHOLESKY);
}

Similarity as_similarity(const cv::Vec4d& step) {
  const double a = 1 + step[0] / (side / 2.0), b = step[1] / (side / 2.0), middle = side / 2.0;
  return {a, b, step[2] + middle - (a * middle - b * middle), step[3] + middle - (b * middle + a * middle)};
}

}  // namespace

struct Stabilizer::State {
  State(CropStyle crop_style, int crop_size) : weights(rigid_weights(crop_style)), size(crop_size) {}

  std::optional<Similarity> registered(const Image& gray, Similarity place) const;
  bool is_far(const Similarity& correction) const;

  cv::Mat weights;
  int size;
  std::optional<Reference> reference;
  Similarity correction;  ///< of the frame before, in the crop
};

/// Where the crop shows what the reference shows, from a place near it; nothing where no place does.
std::optional<Similarity> Stabilizer::State::registered(const Image& gray, Similarity place) const {
  for (int i = 0; i < most_steps; ++i) {
    const cv::Vec4d step = step_towards(*reference, levels(gray, place, weights), weights);
    if (!std::isfinite(cv::norm(step)) || cv::norm(step) > farthest * side) return std::nullopt;
    place = after(place, inverse(as_similarity(step)));
    if (cv::norm(step) < small_step) break;
  }
  return place;
}

bool Stabilizer::State::is_far(const Similarity& moved) const {
  for (const Point corner : {Point{0, 0}, Point{side, 0}, Point{0, side}, Point{side, side}}) {
    const Point place = moved.apply(corner);
    if (std::hypot(place.x - corner.x, place.y - corner.y) > farthest * side) return true;
  }
  return false;
}

Stabilizer::Stabilizer(CropStyle style, int size) : state_(std::make_unique<State>(style, size)) {
  MICROEMO_CHECK(size > 0, "crops of {} pixels", size);
}
Stabilizer::~Stabilizer() = default;
Stabilizer::Stabilizer(Stabilizer&&) noexcept = default;

Similarity Stabilizer::add(const Image& frame, const Similarity& aligned) {
  State& s = *state_;
  const Image gray = to_gray(frame);
  const double zoom = double(s.size) / side;
  const Similarity landmarks{aligned.a * zoom, aligned.b * zoom, aligned.x, aligned.y};
  std::optional<Similarity> place;
  if (s.reference) place = s.registered(gray, after(landmarks, s.correction));
  if (place && s.is_far(after(inverse(landmarks), *place))) place.reset();
  const double shared = place ? likeness(levels(gray, *place, s.weights), s.reference->values, s.weights) : 0;
  if (shared < unlike) place.reset();
  s.correction = place ? after(inverse(landmarks), *place) : Similarity();
  const Similarity result = place.value_or(landmarks);
  if (shared < alike) s.reference.emplace(levels(gray, result, s.weights));
  return {result.a / zoom, result.b / zoom, result.x, result.y};
}

}  // namespace microemo::media
