#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace microemo::media {

enum class Resampling {
  swresample,  ///< FFmpeg's libswresample with its defaults: what ffmpeg -ar does, and so Whisper's and MERTools' sounds
  soxr,        ///< libsoxr at its very high quality (28 bits), sox's rate -v: the cleanest
  sinc,        ///< torchaudio.functional.resample with its defaults: what ImageBind was trained on
};
constexpr auto names_of(Resampling) {
  return std::array{std::pair{Resampling::swresample, "swresample"}, std::pair{Resampling::soxr, "soxr"},
                    std::pair{Resampling::sinc, "sinc"}};
}

/// Changes the rate of mono samples that come piece by piece; the first sample that goes out is at the time of the first that
/// came in. How the input is cut into pieces changes no sample. Not thread-safe; one per thread.
class Resampler {
 public:
  virtual ~Resampler() = default;
  /// Appends to `out` what the samples so far determine.
  virtual void add(std::span<const float> in, std::vector<float>& out) = 0;
  /// Appends the rest, as if silence followed. Nothing may be added afterwards.
  virtual void finish(std::vector<float>& out) = 0;
};

/// Rates in Hz, both above 0 (else Error(internal)). Equal rates pass the samples on as they are.
///
/// sinc: the polyphase filter of torchaudio's _get_sinc_resample_kernel (sinc_interp_hann, lowpass_filter_width 6, rolloff 0.99),
/// with its single-precision roundings, and ceil(in * to / from) samples; within 1e-6 of it.
std::unique_ptr<Resampler> make_resampler(Resampling resampling, int from, int to);

/// All of a sound at once.
std::vector<float> resampled(std::span<const float> samples, int from, int to, Resampling resampling);

}  // namespace microemo::media
