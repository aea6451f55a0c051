#pragma once
#include <map>
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
  explicit KeptFrames(int64_t bytes) : most_(bytes) {}
  /// `seen` is the part of the clip's length that has passed with it, as far as that is known, else 1: once the frames to come
  /// will not fit none is kept, so that a long clip does not fill the memory in vain.
  void add(media::Image source, double seen);
  bool complete() const { return used_ <= most_; }
  const media::Image& at(size_t index) const { return frames_[index]; }

 private:
  int64_t most_, used_ = 0;
  std::vector<media::Image> frames_;
};

/// The face that the model sees in each frame, by options.face_choice. Reads the clip's sound where that is speaking and there
/// are utterances and sound.
std::vector<std::optional<media::Face>> chosen_faces(const Clip& clip, const PrepareOptions& options,
                                                     const std::vector<std::vector<media::Face>>& faces,
                                                     const std::vector<double>& seconds);

/// Where a track's crops are cut once options.face_align has its say.
class HeldFaces {
 public:
  explicit HeldFaces(const PrepareOptions& options) : size_(int(options.face_size)), align_(options.face_align) {}
  /// Fed with the frames of a track in order.
  media::Similarity at(int track, const media::Image& source, const media::Similarity& aligned);

 private:
  int size_;
  FaceAlign align_;
  std::map<int, media::Stabilizer> tracks_;
};

/// Faces that were cut elsewhere, with the times of those that FaceClock takes.
struct GivenFaces {
  std::vector<FaceCrop> crops;
  std::vector<double> times;
};
/// The time of each of so many crops: those of the video's frames, or by Clip::face_crop_rate. Throws Error(data) for another
/// number of crops than of frames without a rate, or crops that go on behind `end_s`, where the video ends.
std::vector<double> crop_times(const Clip& clip, size_t crops, const std::vector<double>& frame_times, double end_s);
/// Reads Clip::face_crops, scaled to face_size. Throws Error(data) as media::read_face_crops and crop_times do.
GivenFaces given_faces(const Clip& clip, const PrepareOptions& options, const std::vector<double>& frame_times, double end_s);

/// PreparedClip::faces_NCSS of a clip's crops, in order; the neutral face of differences and flow is that of each track. Frames
/// without a face become zeros.
at::Tensor face_inputs(const std::vector<FaceCrop>& crops, const PrepareOptions& options);

}  // namespace microemo::data
