#pragma once
#include <cstdint>

#include <ATen/core/Tensor.h>

#include "microemo/model/options.h"
#include "microemo/model/vit.h"

namespace microemo::model {

/// The ViT of whole frames of this height and width.
VitShape frame_vit(const VisualEncoderOptions& options, int64_t height, int64_t width);

/// Bytes [n, 3, H, W] as the encoders of a style read them: plain in [-1, 1]; the public ones (x / 255 - mean) / deviation with
/// CLIP's constants of each channel.
at::Tensor normalised_pictures(VisualStyle style, const at::Tensor& bytes_n3HW);

}  // namespace microemo::model
