#include <algorithm>
#include <array>
#include <cmath>

#include <opencv2/imgproc.hpp>

#include "matrix.h"
#include "microemo/base/error.h"
#include "microemo/media/crops.h"

namespace microemo::media {
namespace {

constexpr float largest_movement = 3;  // pixels of the crop
constexpr float diagonal = 9;          // grey levels squared: holds the flow at zero where there is nothing to see
constexpr int box_side = 5;

/// Per-pixel median of the crops that are there; where their number is even, the upper of the two in the middle.
cv::Mat neutral_face(const std::vector<const Image*>& crops, int size) {
  cv::Mat neutral(size, size, CV_32F);
  std::vector<uint8_t> values(crops.size());
  const auto middle = values.begin() + std::ptrdiff_t(values.size() / 2);
  for (int pixel = 0; pixel < size * size; ++pixel) {
    for (size_t i = 0; i < crops.size(); ++i) values[i] = crops[i]->pixels[size_t(pixel)];
    std::nth_element(values.begin(), middle, values.end());
    neutral.at<float>(pixel / size, pixel % size) = *middle;
  }
  return neutral;
}

cv::Mat twice_boxed(const cv::Mat& values) {
  cv::Mat once, twice;
  cv::boxFilter(values, once, -1, {box_side, box_side}, {-1, -1}, true, cv::BORDER_REPLICATE);
  cv::boxFilter(once, twice, -1, {box_side, box_side}, {-1, -1}, true, cv::BORDER_REPLICATE);
  return twice;
}

/// Lucas-Kanade against one fixed picture: its gradients and the inverse of the structure tensor are computed once.
class Flow {
 public:
  explicit Flow(const cv::Mat& neutral) : neutral_(neutral), mean_(cv::mean(neutral)[0]) {
    const cv::Mat kernel = (cv::Mat_<float>(1, 3) << -0.5F, 0, 0.5F);
    cv::filter2D(neutral, dx_, CV_32F, kernel, {-1, -1}, 0, cv::BORDER_REPLICATE);
    cv::filter2D(neutral, dy_, CV_32F, kernel.t(), {-1, -1}, 0, cv::BORDER_REPLICATE);
    const cv::Mat xx = twice_boxed(dx_.mul(dx_)) + diagonal, yy = twice_boxed(dy_.mul(dy_)) + diagonal,
                  xy = twice_boxed(dx_.mul(dy_));
    const cv::Mat determinant = xx.mul(yy) - xy.mul(xy);
    cv::divide(yy, determinant, inverse_xx_);
    cv::divide(xx, determinant, inverse_yy_);
    cv::divide(-xy, determinant, inverse_xy_);
  }

  /// Movement from the neutral picture to `gray`, u then v, in pixels.
  std::array<cv::Mat, 2> to(const cv::Mat& gray) const {
    const double mean = cv::mean(gray)[0];
    cv::Mat difference;
    gray.convertTo(difference, CV_32F, mean > 0 ? mean_ / mean : 1.0);
    difference = neutral_ - difference;
    const cv::Mat xt = twice_boxed(dx_.mul(difference)), yt = twice_boxed(dy_.mul(difference));
    return {inverse_xx_.mul(xt) + inverse_xy_.mul(yt), inverse_xy_.mul(xt) + inverse_yy_.mul(yt)};
  }

 private:
  cv::Mat neutral_, dx_, dy_, inverse_xx_, inverse_yy_, inverse_xy_;
  double mean_;
};

/// Clamped, averaged over 2 x 2 pixels, in units of 3/127 pixel.
std::vector<int8_t> compact(const std::array<cv::Mat, 2>& flow, int size) {
  std::vector<int8_t> map;
  map.reserve(size_t(size) * size / 2);
  const auto clamped = [](float v) { return std::clamp(v, -largest_movement, largest_movement); };
  for (const cv::Mat& channel : flow)
    for (int y = 0; y + 1 < size; y += 2) {
      const float *upper = channel.ptr<float>(y), *lower = channel.ptr<float>(y + 1);
      for (int x = 0; x + 1 < size; x += 2) {
        const float sum = clamped(upper[x]) + clamped(upper[x + 1]) + clamped(lower[x]) + clamped(lower[x + 1]);
        map.push_back(int8_t(std::lrint(sum / 4 * (127 / largest_movement))));
      }
    }
  return map;
}

}  // namespace

std::vector<std::vector<int8_t>> movement_maps(const std::vector<Image>& crops) {
  std::vector<const Image*> present;
  for (const Image& crop : crops)
    if (!crop.pixels.empty()) present.push_back(&crop);
  std::vector<std::vector<int8_t>> maps(crops.size());
  if (present.empty()) return maps;
  const int size = present[0]->width;
  for (const Image* crop : present)
    MICROEMO_CHECK(crop->width == size && crop->height == size && crop->channels == 1,
                   "a crop of {} x {} x {} among grey ones of {} x {}", crop->width, crop->height, crop->channels, size, size);
  const Flow flow(neutral_face(present, size));
  for (size_t i = 0; i < crops.size(); ++i)
    if (!crops[i].pixels.empty()) maps[i] = compact(flow.to(matrix(crops[i])), size);
  return maps;
}

}  // namespace microemo::media
