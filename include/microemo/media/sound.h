#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "microemo/media/resample.h"
#include "microemo/media/video_reader.h"

namespace microemo::media {

/// Mono samples in [-1, 1].
struct Sound {
  int rate = 16000;
  double start_s = 0;  ///< of the first sample on the clip's clock (VideoFrame::seconds)
  std::vector<float> samples;
  int64_t bad_packets = 0;  ///< of the file, up to the last sample
  /// Of a file that breaks off and was read to its end: until_s is where the sound ends, or the file when the sound had ended
  /// before. Only with ReadLimits::partial.
  std::optional<Damage> damage = {};

  double end_s() const { return start_s + double(samples.size()) / rate; }
};

struct SoundOptions {
  int rate = 16000;
  Resampling resampling = Resampling::swresample;
  ReadLimits limits;
};

/// The best sound stream of a file as one channel at one rate.
///
/// Channels are mixed by weights that add up to 1, so that nothing leaves [-1, 1]: centre 1, front left and right √½, all others
/// ½ and those of low frequencies 0, over their sum (ATSC A/52, section 7.8, as libswresample has it with rematrix_maxval 1). One
/// channel stays as it is, two give their mean, and channels without names, or with more than their usual number, give the mean
/// of all. What the codec puts before and behind the sound (priming, padding) is left out as ffmpeg leaves it out; holes of more
/// than 0.1 s between packets are silence, so that later samples stay at their time.
///
/// Reads forward and keeps no more than it is asked for. It always decodes from the start: AAC, Opus and AC-3 carry state from
/// packet to packet for ever (noise, predictors), and after a jump they give other samples. Not thread-safe; one per thread.
class AudioReader {
 public:
  /// Throws Error(data): as probe does, and when there is no sound stream (ask probe first) or it cannot be decoded.
  explicit AudioReader(const MediaInput& input, const SoundOptions& options = {});
  ~AudioReader();
  AudioReader(AudioReader&&) noexcept;

  const VideoInfo& info() const;
  /// Of the first sample, on the clip's clock.
  double start_s() const;

  /// The samples of [begin_s, end_s) on the clip's clock: those that read_sound gives from round((begin_s - start_s) rate) to
  /// round((end_s - start_s) rate), bit for bit, as far as the sound goes. Decodes on from the window before, or again from the
  /// start when this one begins earlier. Throws Error(config) when it ends before it begins, is not finite or longer than
  /// limits.max_seconds; Error(data) for a file that ends before its time, when the window reaches so far and limits.partial does
  /// not allow it.
  Sound window(double begin_s, double end_s);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The whole sound, at most limits.max_seconds of it. Throws Error(data) as AudioReader does.
Sound read_sound(const MediaInput& input, const SoundOptions& options = {});

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
