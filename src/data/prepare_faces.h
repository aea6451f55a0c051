#pragma once
#include <vector>

#include <ATen/core/Tensor.h>

#include "microemo/data/prepared.h"
#include "microemo/media/crops.h"
#include "microemo/media/image.h"

namespace microemo::data {

/// One aligned crop of the asked size, in colour where face_input is rgb, else grey.
media::Image face_crop(const media::Image& frame, const media::Similarity& similarity, const PrepareOptions& options);

/// PreparedClip::faces_NCSS of a clip's crops, in order; empty pictures, where there was no face, become zeros.
at::Tensor face_inputs(const std::vector<media::Image>& crops, const PrepareOptions& options);

}  // namespace microemo::data
