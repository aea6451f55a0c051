#include "prepare_faces.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include <ATen/ops/from_blob.h>
#include <ATen/ops/zeros.h>

namespace microemo::data {
namespace {

using media::Image;

/// Places of each track's crops among all.
std::map<int, std::vector<size_t>> places_by_track(const std::vector<FaceCrop>& crops) {
  std::map<int, std::vector<size_t>> places;
  for (size_t i = 0; i < crops.size(); ++i)
    if (crops[i].track >= 0) places[crops[i].track].push_back(i);
  return places;
}

/// Zeros for every frame, into which the crops that are there are written.
at::Tensor blank_inputs(const std::vector<FaceCrop>& crops, int64_t channels, int64_t side, at::ScalarType type) {
  return at::zeros({int64_t(crops.size()), channels, side, side}, type);
}

at::Tensor colour_inputs(const std::vector<FaceCrop>& crops, int64_t size) {
  at::Tensor faces = blank_inputs(crops, 3, size, at::kByte);
  for (size_t i = 0; i < crops.size(); ++i) {
    if (crops[i].track < 0) continue;
    const at::Tensor crop = at::from_blob(const_cast<uint8_t*>(crops[i].image.pixels.data()), {size, size, 3}, at::kByte);
    faces.select(0, int64_t(i)).copy_(crop.permute({2, 0, 1}));
  }
  return faces;
}

at::Tensor gray_inputs(const std::vector<FaceCrop>& crops, int64_t size) {
  at::Tensor faces = blank_inputs(crops, 1, size, at::kByte);
  for (size_t i = 0; i < crops.size(); ++i) {
    const auto& pixels = crops[i].image.pixels;
    std::copy(pixels.begin(), pixels.end(), faces.data_ptr<uint8_t>() + int64_t(i) * size * size);
  }
  return faces;
}

at::Tensor flow_inputs(const std::vector<FaceCrop>& crops, int64_t size) {
  const int64_t half = size / 2;
  at::Tensor faces = blank_inputs(crops, 2, half, at::kChar);
  for (const auto& [track, places] : places_by_track(crops)) {
    std::vector<Image> own;
    for (const size_t place : places) own.push_back(crops[place].image);
    const auto maps = media::movement_maps(own);
    for (size_t i = 0; i < places.size(); ++i)
      std::copy(maps[i].begin(), maps[i].end(), faces.data_ptr<int8_t>() + int64_t(places[i]) * 2 * half * half);
  }
  return faces;
}

/// Per-pixel median of the crops at these places; where their number is even, the upper of the two in the middle.
std::vector<uint8_t> neutral_face(const std::vector<FaceCrop>& crops, const std::vector<size_t>& places) {
  std::vector<uint8_t> neutral(crops[places[0]].image.pixels.size()), values(places.size());
  const auto middle = values.begin() + std::ptrdiff_t(values.size() / 2);
  for (size_t pixel = 0; pixel < neutral.size(); ++pixel) {
    for (size_t i = 0; i < places.size(); ++i) values[i] = crops[places[i]].image.pixels[pixel];
    std::nth_element(values.begin(), middle, values.end());
    neutral[pixel] = *middle;
  }
  return neutral;
}

double mean(const std::vector<uint8_t>& pixels) {
  return std::accumulate(pixels.begin(), pixels.end(), 0.0) / double(pixels.size());
}

/// Grey levels above the neutral face once both are equally bright.
void write_difference(const std::vector<uint8_t>& crop, const std::vector<uint8_t>& neutral, int8_t* out) {
  const double crop_mean = mean(crop), gain = crop_mean > 0 ? mean(neutral) / crop_mean : 1.0;
  for (size_t pixel = 0; pixel < neutral.size(); ++pixel)
    out[pixel] = int8_t(std::lround(std::clamp(gain * crop[pixel] - neutral[pixel], -127.0, 127.0)));
}

at::Tensor difference_inputs(const std::vector<FaceCrop>& crops, int64_t size) {
  at::Tensor faces = blank_inputs(crops, 1, size, at::kChar);
  for (const auto& [track, places] : places_by_track(crops)) {
    const std::vector<uint8_t> neutral = neutral_face(crops, places);
    for (const size_t place : places)
      write_difference(crops[place].image.pixels, neutral, faces.data_ptr<int8_t>() + int64_t(place) * size * size);
  }
  return faces;
}

/// Colour less 128, so that it fits beside the difference, which is four times as strong.
at::Tensor colour_and_difference_inputs(const std::vector<FaceCrop>& crops, int64_t size) {
  std::vector<FaceCrop> gray = crops;
  for (FaceCrop& crop : gray)
    if (crop.track >= 0) crop.image = media::to_gray(crop.image);
  at::Tensor faces = blank_inputs(crops, 4, size, at::kChar);
  const at::Tensor colour = colour_inputs(crops, size), difference = difference_inputs(gray, size);
  for (size_t i = 0; i < crops.size(); ++i) {
    if (crops[i].track < 0) continue;
    const auto place = int64_t(i);
    faces.select(0, place).slice(0, 0, 3).copy_(colour.select(0, place).to(at::kShort).sub(128));
    faces.select(0, place).slice(0, 3).copy_(difference.select(0, place).to(at::kShort).mul(4).clamp(-127, 127));
  }
  return faces;
}

}  // namespace

Image face_source(const Image& frame, const PrepareOptions& options) {
  const bool colour = options.face_input == FaceInput::rgb || options.face_input == FaceInput::rgb_difference;
  return colour ? frame : media::to_gray(frame);
}

void KeptFrames::add(Image source, double seen) {
  constexpr size_t known_rate = 8;
  if (!complete()) return;
  used_ += int64_t(source.pixels.size());
  frames_.push_back(std::move(source));
  // The first frames tell the rate badly.
  if (frames_.size() >= known_rate && double(used_) > seen * double(most_)) used_ = most_ + 1;
  if (!complete()) frames_ = {};
}

media::Similarity HeldFaces::at(int track, const Image& source, const media::Similarity& aligned) {
  if (align_ != FaceAlign::registered) return aligned;
  return tracks_.try_emplace(track, media::CropStyle::eyes, size_).first->second.add(source, aligned);
}

at::Tensor face_inputs(const std::vector<FaceCrop>& crops, const PrepareOptions& options) {
  switch (options.face_input) {
    case FaceInput::rgb:
      return colour_inputs(crops, options.face_size);
    case FaceInput::gray:
      return gray_inputs(crops, options.face_size);
    case FaceInput::difference:
      return difference_inputs(crops, options.face_size);
    case FaceInput::rgb_difference:
      return colour_and_difference_inputs(crops, options.face_size);
    case FaceInput::flow:
      break;
  }
  return flow_inputs(crops, options.face_size);
}

}  // namespace microemo::data
