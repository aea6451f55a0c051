#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <memory>
#include <numbers>
#include <span>

extern "C" {
#include <libavcodec/avfft.h>
}

#include "libav.h"
#include "microemo/base/error.h"
#include "microemo/media/sound.h"

// torchaudio.compliance.kaldi.fbank(window_type="hanning", use_energy=False, dither=0), which follows Kaldi's
// compute-fbank-feats.
namespace microemo::media {
namespace {

constexpr double window_s = 0.025, shift_s = 0.010;
constexpr float pre_emphasis = 0.97F;
constexpr double lowest_hz = 20;

double mel(double hz) { return 1127 * std::log(1 + hz / 700); }

/// One triangle over the bins of the power spectrum, without its zeros.
struct Band {
  int first = 0;
  std::vector<float> weights;
};

std::vector<Band> mel_bands(int count, int fft_size, int rate) {
  const double low = mel(lowest_hz), step = (mel(rate / 2.0) - low) / (count + 1);
  std::vector<Band> bands(static_cast<size_t>(count));
  for (int b = 0; b < count; ++b) {
    Band& band = bands[size_t(b)];
    for (int bin = 0; bin < fft_size / 2; ++bin) {
      const double position = (mel(double(bin) * rate / fft_size) - (low + b * step)) / step;
      const double weight = std::min(position, 2 - position);
      if (weight <= 0) continue;
      if (band.weights.empty()) band.first = bin;
      band.weights.push_back(float(weight));
    }
  }
  return bands;
}

std::vector<float> hann_window(int size) {
  std::vector<float> window;
  for (int i = 0; i < size; ++i) window.push_back(float(0.5 - 0.5 * std::cos(2 * std::numbers::pi * i / (size - 1))));
  return window;
}

class PowerSpectrum {
 public:
  PowerSpectrum(int window_size, int fft_size)
      : window_(hann_window(window_size)),
        transform_(libav::allocated(av_rdft_init(std::bit_width(unsigned(fft_size)) - 1, DFT_R2C))),
        values_(static_cast<float*>(libav::allocated(av_malloc(size_t(fft_size) * sizeof(float))))),
        fft_size_(fft_size) {}

  /// |X|² of the bins below the Nyquist frequency. Valid until the next call.
  std::span<const float> operator()(const float* samples) {
    const size_t size = window_.size();
    double mean = 0;
    for (size_t i = 0; i < size; ++i) mean += samples[i] / double(size);
    float* x = values_.get();
    std::fill(x + size, x + fft_size_, 0.0F);
    for (size_t i = 0; i < size; ++i) {
      const float here = samples[i] - float(mean), before = samples[i > 0 ? i - 1 : 0] - float(mean);
      x[i] = (here - pre_emphasis * before) * window_[i];
    }
    av_rdft_calc(transform_.get(), x);
    // Bin 0 and the Nyquist bin are real and share the first pair.
    x[0] *= x[0];
    for (int bin = 1; bin < fft_size_ / 2; ++bin) x[bin] = x[2 * bin] * x[2 * bin] + x[2 * bin + 1] * x[2 * bin + 1];
    return {x, size_t(fft_size_) / 2};
  }

 private:
  struct Free {
    void operator()(RDFTContext* context) const { av_rdft_end(context); }
    void operator()(float* values) const { av_free(values); }
  };
  std::vector<float> window_;
  std::unique_ptr<RDFTContext, Free> transform_;
  std::unique_ptr<float, Free> values_;
  int fft_size_;
};

}  // namespace

LogMel log_mel(const Sound& sound, int bands) {
  MICROEMO_CHECK(bands > 0 && sound.rate >= 1000, "{} mel bands at {} Hz", bands, sound.rate);
  const int window = int(sound.rate * window_s), shift = int(sound.rate * shift_s);
  const int fft_size = int(std::bit_ceil(unsigned(window)));
  LogMel result{bands, {}, {}};
  if (int64_t(sound.samples.size()) < window) return result;
  const auto triangles = mel_bands(bands, fft_size, sound.rate);
  PowerSpectrum power_spectrum(window, fft_size);
  const int64_t frames = (int64_t(sound.samples.size()) - window) / shift + 1;
  result.values.reserve(size_t(frames * bands));
  for (int64_t i = 0; i < frames; ++i) {
    const auto power = power_spectrum(sound.samples.data() + i * shift);
    for (const Band& band : triangles) {
      float energy = 0;
      for (size_t k = 0; k < band.weights.size(); ++k) energy += band.weights[k] * power[size_t(band.first) + k];
      result.values.push_back(std::log(std::max(energy, std::numeric_limits<float>::epsilon())));
    }
    result.seconds.push_back(sound.start_s + (double(i * shift) + window / 2.0) / sound.rate);
  }
  return result;
}

}  // namespace microemo::media
