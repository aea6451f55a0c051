#include "microemo/data/crop.h"

#include <cmath>

#include <ATen/ops/upsample_bicubic2d.h>

namespace microemo::data {
namespace {

constexpr double least_area = 0.5, least_ratio = 3.0 / 4, greatest_ratio = 4.0 / 3;
constexpr int attempts = 10;

/// The largest rectangle of a permitted ratio in the middle.
Crop middle(int64_t height, int64_t width) {
  Crop crop{0, 0, height, width};
  const double ratio = double(width) / double(height);
  if (ratio < least_ratio) crop.height = std::llround(double(width) / least_ratio);
  if (ratio > greatest_ratio) crop.width = std::llround(double(height) * greatest_ratio);
  crop.top = (height - crop.height) / 2;
  crop.left = (width - crop.width) / 2;
  return crop;
}

}  // namespace

Crop draw_crop(Random& random, int64_t height, int64_t width) {
  for (int i = 0; i < attempts; ++i) {
    const double area = double(height * width) * random.uniform(least_area, 1);
    const double ratio = std::exp(random.uniform(std::log(least_ratio), std::log(greatest_ratio)));
    const int64_t w = std::llround(std::sqrt(area * ratio)), h = std::llround(std::sqrt(area / ratio));
    if (w < 1 || h < 1 || w > width || h > height) continue;
    const auto top = int64_t(random.below(uint64_t(height - h + 1)));
    return {top, int64_t(random.below(uint64_t(width - w + 1))), h, w};
  }
  return middle(height, width);
}

at::Tensor crop_as_timechat(const at::Tensor& frames_TCHW, const Crop& crop) {
  const at::Tensor cut = frames_TCHW.narrow(2, crop.top, crop.height).narrow(3, crop.left, crop.width).to(at::kFloat);
  const at::Tensor stretched = at::upsample_bicubic2d(cut, {frames_TCHW.size(2), frames_TCHW.size(3)}, /*align_corners=*/false,
                                                      std::nullopt, std::nullopt);
  // Through a wide integer, which defines what a byte makes of a negative number.
  return stretched.to(at::kInt).to(at::kByte);
}

}  // namespace microemo::data
