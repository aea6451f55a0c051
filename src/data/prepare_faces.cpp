#include "prepare_faces.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace microemo::data {
namespace {

using media::Image;

bool present(const Image& crop) { return !crop.pixels.empty(); }

at::Tensor colour_inputs(const std::vector<Image>& crops, int64_t size) {
  at::Tensor faces = at::zeros({int64_t(crops.size()), 3, size, size}, at::kByte);
  for (size_t i = 0; i < crops.size(); ++i) {
    if (!present(crops[i])) continue;
    const at::Tensor crop = at::from_blob(const_cast<uint8_t*>(crops[i].pixels.data()), {size, size, 3}, at::kByte);
    faces.select(0, int64_t(i)).copy_(crop.permute({2, 0, 1}));
  }
  return faces;
}

at::Tensor gray_inputs(const std::vector<Image>& crops, int64_t size) {
  at::Tensor faces = at::zeros({int64_t(crops.size()), 1, size, size}, at::kByte);
  for (size_t i = 0; i < crops.size(); ++i)
    std::copy(crops[i].pixels.begin(), crops[i].pixels.end(), faces.data_ptr<uint8_t>() + int64_t(i) * size * size);
  return faces;
}

at::Tensor flow_inputs(const std::vector<Image>& crops, int64_t size) {
  const int64_t half = size / 2;
  at::Tensor faces = at::zeros({int64_t(crops.size()), 2, half, half}, at::kChar);
  const auto maps = media::movement_maps(crops);
  for (size_t i = 0; i < maps.size(); ++i)
    std::copy(maps[i].begin(), maps[i].end(), faces.data_ptr<int8_t>() + int64_t(i) * 2 * half * half);
  return faces;
}

/// Per-pixel median over the clip; where the number of crops is even, the upper of the two in the middle.
std::vector<uint8_t> neutral_face(const std::vector<Image>& crops, size_t pixels) {
  std::vector<uint8_t> neutral(pixels), values;
  for (size_t pixel = 0; pixel < pixels; ++pixel) {
    values.clear();
    for (const Image& crop : crops)
      if (present(crop)) values.push_back(crop.pixels[pixel]);
    const auto middle = values.begin() + std::ptrdiff_t(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    neutral[pixel] = *middle;
  }
  return neutral;
}

double mean(const std::vector<uint8_t>& pixels) {
  return std::accumulate(pixels.begin(), pixels.end(), 0.0) / double(pixels.size());
}

at::Tensor difference_inputs(const std::vector<Image>& crops, int64_t size) {
  at::Tensor faces = at::zeros({int64_t(crops.size()), 1, size, size}, at::kChar);
  if (std::none_of(crops.begin(), crops.end(), present)) return faces;
  const std::vector<uint8_t> neutral = neutral_face(crops, size_t(size * size));
  const double neutral_mean = mean(neutral);
  for (size_t i = 0; i < crops.size(); ++i) {
    if (!present(crops[i])) continue;
    const double crop_mean = mean(crops[i].pixels), gain = crop_mean > 0 ? neutral_mean / crop_mean : 1.0;
    int8_t* face = faces.data_ptr<int8_t>() + int64_t(i) * size * size;
    for (size_t pixel = 0; pixel < neutral.size(); ++pixel)
      face[pixel] = int8_t(std::lround(std::clamp(gain * crops[i].pixels[pixel] - neutral[pixel], -127.0, 127.0)));
  }
  return faces;
}

}  // namespace

Image face_crop(const Image& frame, const media::Similarity& similarity, const PrepareOptions& options) {
  Image crop = media::crop_face(frame, similarity, int(options.face_size));
  return options.face_input == FaceInput::rgb ? crop : media::to_gray(crop);
}

at::Tensor face_inputs(const std::vector<Image>& crops, const PrepareOptions& options) {
  switch (options.face_input) {
    case FaceInput::rgb:
      return colour_inputs(crops, options.face_size);
    case FaceInput::gray:
      return gray_inputs(crops, options.face_size);
    case FaceInput::difference:
      return difference_inputs(crops, options.face_size);
    case FaceInput::flow:
      break;
  }
  return flow_inputs(crops, options.face_size);
}

}  // namespace microemo::data
