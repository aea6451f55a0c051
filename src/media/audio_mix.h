#pragma once
#include <vector>

#include "libav.h"

namespace microemo::media {

/// Weights of the channels of a layout in one channel (AudioReader); they add up to 1.
std::vector<float> mono_weights(const AVChannelLayout& layout);

/// Appends the frame's samples as one channel. Throws Error(data) for a format of samples that is not known.
void mix_down(const AVFrame& frame, const std::vector<float>& weights, std::vector<float>& samples);

}  // namespace microemo::media
