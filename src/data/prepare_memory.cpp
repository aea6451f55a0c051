#include "prepare_memory.h"

#include <algorithm>
#include <optional>

#include "microemo/base/error.h"
#include "microemo/media/face.h"

namespace microemo::data {
namespace {

constexpr double sound_rate = 16000;

int64_t crop_channels(FaceInput input) { return input == FaceInput::rgb || input == FaceInput::rgb_difference ? 3 : 1; }

/// Of one face as the model reads it.
int64_t input_bytes(const PrepareOptions& options) {
  const int64_t square = options.face_size * options.face_size;
  switch (options.face_input) {
    case FaceInput::rgb:
      return 3 * square;
    case FaceInput::rgb_difference:
      return 4 * square;
    case FaceInput::flow:
      return square / 2;
    default:
      return square;
  }
}

}  // namespace

void MemoryCount::add(int64_t bytes, double seconds) {
  expect(bytes, seconds);
  used_ += bytes;
}

void MemoryCount::expect(int64_t bytes, double seconds) const {
  if (bytes <= most_ - used_) return;
  throw DataError("clip \"{}\" takes more than {} MiB of memory up to {:.1f} s", clip_->id, most_ >> 20, seconds)
      .where(clip_->video)
      .hint("allow more with --memory, cut the video into parts, or lower prepare.frame_rate, prepare.face_rate or their sizes");
}

int64_t whole_frame_bytes(const PrepareOptions& options) { return 3 * options.frame_width * options.frame_height; }

int64_t face_frame_bytes(const PrepareOptions& options) {
  return 2 * int64_t(sizeof(std::optional<media::Face>)) + input_bytes(options);
}

// The transformation of a track works on copies of its crops.
int64_t face_crop_bytes(const PrepareOptions& options) {
  return 2 * crop_channels(options.face_input) * options.face_size * options.face_size;
}

int64_t sound_bytes(double seconds, const PrepareOptions& options) {
  const double samples = seconds * sound_rate * sizeof(float);
  // A spectrogram has 100 values a second and band, and passes through three copies.
  const double values = options.sound == SoundInput::samples ? 2 * samples : 3.0 * 100 * double(options.mel_bands) * 4 * seconds;
  return int64_t(samples + values);
}

int64_t claimed_bytes(const media::VideoInfo& info, const PrepareOptions& options) {
  const double seconds = std::max(info.duration_s, 0.0);
  int64_t bytes = info.has_audio ? sound_bytes(seconds, options) : 0;
  if (info.has_video && options.frame_rule == FrameRule::uniform) bytes += options.frame_count * whole_frame_bytes(options);
  return bytes;
}

}  // namespace microemo::data
