#pragma once
#include <cstdint>

#include <ATen/core/Tensor.h>

#include "microemo/base/random.h"

namespace microemo::data {

/// A rectangle of a picture, in pixels.
struct Crop {
  int64_t top = 0, left = 0, height = 0, width = 0;
};

/// A rectangle of 50 to 100 % of the area with an aspect ratio of 3/4 to 4/3 (logarithmically even), at a place of its own
/// (Szegedy et al. 2015, section 6). When ten draws do not fit into the picture, the largest of a permitted ratio in its middle.
Crop draw_crop(Random& random, int64_t height, int64_t width);

/// The rectangle, which lies within them, of all frames [T, C, H, W] uint8, stretched to [H, W] with a cubic kernel (a = -0.75,
/// edges repeated, no smoothing where it shrinks), as TimeChat's training transform does it: what comes out is cut to whole
/// numbers, and what the kernel throws below 0 or above 255 wraps round. uint8. Thread-safe.
at::Tensor crop_as_timechat(const at::Tensor& frames_TCHW, const Crop& crop);

}  // namespace microemo::data
