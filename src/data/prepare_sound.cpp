// Shapes: K pieces, N samples of a piece, F log-mel frames, M mel bands.
#include "prepare_sound.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <ATen/ops/from_blob.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>

#include "microemo/model/whisper_mel.h"

namespace microemo::data {
namespace {

at::Tensor values_of(const media::LogMel& mel) {
  return at::from_blob(const_cast<float*>(mel.values.data()), {mel.frames(), mel.bands}, at::kFloat).clone();
}

/// The first sample of every piece of `seconds`. A given number of pieces lies evenly over the clip: piece k of n starts at
/// k (duration - seconds) / (n - 1), at its start when it is shorter (pytorchvideo's ConstantClipsPerVideoSampler, as ImageBind
/// uses it). Otherwise they follow each other, and the last one may be filled with silence.
std::vector<int64_t> piece_starts(const media::Sound& sound, int64_t pieces, double seconds) {
  const auto samples = int64_t(sound.samples.size()), length = int64_t(std::llround(seconds * sound.rate));
  std::vector<int64_t> starts;
  if (samples == 0) return starts;
  const int64_t free = std::max<int64_t>(0, samples - length);
  for (int64_t k = 0; k < pieces; ++k) starts.push_back(pieces == 1 ? 0 : k * free / (pieces - 1));
  if (pieces == 0)
    for (int64_t start = 0; start < samples; start += length) starts.push_back(start);
  return starts;
}

/// Samples of one piece, silence behind the end.
media::Sound cut(const media::Sound& sound, int64_t start, double seconds) {
  media::Sound piece;
  piece.rate = sound.rate;
  piece.start_s = sound.start_s + double(start) / sound.rate;
  piece.samples.assign(size_t(std::llround(seconds * sound.rate)), 0.0f);
  const auto count = std::min<int64_t>(int64_t(piece.samples.size()), int64_t(sound.samples.size()) - start);
  std::copy_n(sound.samples.begin() + start, count, piece.samples.begin());
  return piece;
}

at::Tensor samples_of(const media::Sound& piece) {
  return at::from_blob(const_cast<float*>(piece.samples.data()), {int64_t(piece.samples.size())}, at::kFloat).clone();
}

at::Tensor encoder_input(const media::Sound& piece, const PrepareOptions& options) {
  switch (options.sound) {
    case SoundInput::imagebind:
      return values_of(media::log_mel(piece, int(options.mel_bands)));
    case SoundInput::samples:
      return samples_of(piece);
    default:
      return model::whisper_log_mel(samples_of(piece).unsqueeze(0), options.mel_bands, int64_t(piece_seconds(options.sound)))
          .squeeze(0);
  }
}

}  // namespace

void add_sound(const media::Sound& sound, const PrepareOptions& options, PreparedClip& prepared) {
  if (options.sound == SoundInput::log_mel) {
    const media::LogMel mel = media::log_mel(sound, int(options.mel_bands));
    prepared.mel_FM = values_of(mel).to(at::kHalf).to(at::kFloat);
    prepared.mel_times_F = at::tensor(mel.seconds, at::kDouble);
    return;
  }
  const double seconds = piece_seconds(options.sound);
  std::vector<at::Tensor> pieces;
  std::vector<double> times;
  for (const int64_t start : piece_starts(sound, options.sound == SoundInput::whisper ? 0 : options.sound_pieces, seconds)) {
    const media::Sound piece = cut(sound, start, seconds);
    pieces.push_back(encoder_input(piece, options));
    times.push_back(piece.start_s + seconds / 2);
  }
  // The shape of no piece is that of silence, so that a clip without sound stacks with others.
  const bool silent = pieces.empty();
  if (silent) pieces.push_back(encoder_input(cut(sound, 0, seconds), options));
  prepared.pieces_K = at::stack(pieces).slice(0, silent ? 1 : 0);
  prepared.piece_times_K = at::tensor(times, at::kDouble);
}

}  // namespace microemo::data
