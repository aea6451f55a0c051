#pragma once
#include <optional>
#include <vector>

#include <ATen/core/Tensor.h>

#include "microemo/data/prepared.h"
#include "microemo/media/crops.h"
#include "microemo/media/face.h"
#include "microemo/media/image.h"

namespace microemo::data {

/// A face cut out of its frame; an empty picture where there is none.
struct FaceCrop {
  media::Image image;
  int track = -1;
};

/// What crops are cut from: the frame in colour where face_input is rgb, else in grey.
media::Image face_source(const media::Image& frame, const PrepareOptions& options);

/// Source frames of the faces, in order, as long as all of them fit into `bytes`; then none.
class KeptFrames {
 public:
  explicit KeptFrames(int64_t bytes) : left_(bytes) {}
  void add(media::Image source);
  bool complete() const { return left_ >= 0; }
  const media::Image& at(size_t index) const { return frames_[index]; }

 private:
  int64_t left_;
  std::vector<media::Image> frames_;
};

/// PreparedClip::faces_NCSS of a clip's crops, in order; the neutral face of differences and flow is that of each track. Frames
/// without a face become zeros.
at::Tensor face_inputs(const std::vector<FaceCrop>& crops, const PrepareOptions& options);

}  // namespace microemo::data
