#pragma once
#include <cstdint>
#include <filesystem>
#include <vector>

#include "microemo/media/video_reader.h"

namespace microemo::media {

/// Mono samples in [-1, 1].
struct Sound {
  int rate = 16000;
  double start_s = 0;  ///< of the first sample on the clip's clock (VideoFrame::seconds)
  std::vector<float> samples;
  int64_t bad_packets = 0;

  double end_s() const { return start_s + double(samples.size()) / rate; }
};

/// Decodes the best sound stream whole, mixes it down and resamples it (swresample). Throws Error(data): as probe does, and when
/// there is no sound stream (ask probe first) or it cannot be decoded.
Sound read_sound(const std::filesystem::path& path, int rate = 16000, const ReadLimits& limits = {});

/// 16-bit PCM WAV, atomically.
void write_wav(const std::filesystem::path& path, const Sound& sound);

/// Log-mel filter banks in the manner of Kaldi as ImageBind uses them: 25 ms Hann windows every 10 ms, mean and DC removed,
/// pre-emphasis 0.97, 512-point power spectrum, `bands` mel bands from 20 Hz to rate/2, natural log floored at float epsilon;
/// snip edges. `seconds[i]` is the middle of frame i on the clip's clock. Values [frames, bands] row-major, not normalised. A
/// sound shorter than one window gives no frame.
struct LogMel {
  int bands = 0;
  std::vector<float> values;
  std::vector<double> seconds;
  int64_t frames() const { return int64_t(seconds.size()); }
};
LogMel log_mel(const Sound& sound, int bands);

}  // namespace microemo::media
