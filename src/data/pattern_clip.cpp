#include <algorithm>
#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>

#include "microemo/data/prepared.h"
#include "prepare_faces.h"
#include "prepare_sound.h"

namespace microemo::data {
namespace {

constexpr double video_rate = 25;

/// Values of every kind without a random number.
at::Tensor pattern(at::IntArrayRef shape, at::ScalarType type) {
  const at::Tensor row = at::arange(c10::multiply_integers(shape.slice(1)), at::kInt).remainder(113).to(type);
  return row.view(shape.slice(1)).unsqueeze(0).expand(shape).contiguous();
}

at::Tensor moments(int64_t count, double rate) { return at::arange(count, at::kDouble) / rate; }

}  // namespace

PreparedClip pattern_clip(const PrepareOptions& options, double seconds) {
  PreparedClip clip;
  clip.duration_s = seconds;
  const auto source_frames = std::max<int64_t>(1, std::llround(seconds * video_rate));
  const bool uniform = options.frame_rule == FrameRule::uniform;
  const int64_t frames = uniform
                             ? std::min(options.frame_count, source_frames)
                             : std::max<int64_t>(1, std::llround(std::ceil(seconds * std::min(options.frame_rate, video_rate))));
  clip.frames_TCHW = pattern({frames, 3, options.frame_height, options.frame_width}, at::kByte);
  clip.frame_times_T = moments(frames, double(frames) / seconds);
  const double face_rate = std::min(video_rate, options.face_rate > 0 ? options.face_rate : options.face_rate_cap);
  const int64_t faces = options.faces ? std::max<int64_t>(1, std::llround(seconds * face_rate)) : 0;
  const at::Tensor no_faces = face_inputs({}, options);
  std::vector<int64_t> face_shape = no_faces.sizes().vec();
  face_shape[0] = faces;
  clip.faces_NCSS = pattern(face_shape, no_faces.scalar_type());
  clip.face_times_N = moments(faces, face_rate);
  clip.face_mask_N = at::full({faces}, true, at::kBool);
  clip.source_frames = source_frames;
  clip.faces_found = faces;
  clip.mel_FM = at::empty({0, options.mel_bands}, at::kFloat);
  clip.pieces_K = at::empty({0}, at::kFloat);
  clip.mel_times_F = clip.piece_times_K = at::empty({0}, at::kDouble);
  media::Sound sound;
  for (int64_t i = 0; i < std::llround(seconds * sound.rate); ++i) sound.samples.push_back(float(i % 113) / 113 - 0.5f);
  add_sound(sound, options, clip);
  return clip;
}

}  // namespace microemo::data
