#include "microemo/model/whisper_mel.h"

#include <algorithm>
#include <cmath>

#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/hann_window.h>
#include <ATen/ops/imag.h>
#include <ATen/ops/log10.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/real.h>
#include <ATen/ops/stft.h>
#include <ATen/ops/zeros.h>

#include "microemo/base/error.h"

namespace microemo::model {
namespace {

constexpr int64_t rate = 16000, window = 400, hop = 160;

/// Slaney's mel scale (Auditory Toolbox, 1998): straight up to 1 kHz, then logarithmic.
double hertz_of_mel(double mel) { return mel < 15 ? mel * 200 / 3 : 1000 * std::exp((mel - 15) * std::log(6.4) / 27); }
double mel_of_hertz(double hertz) { return hertz < 1000 ? hertz * 3 / 200 : 15 + std::log(hertz / 1000) * 27 / std::log(6.4); }

/// Triangles of area 1 over the bins of the spectrum, [bands, window / 2 + 1].
at::Tensor mel_filters(int64_t bands) {
  const double nyquist = double(rate) / 2, step = mel_of_hertz(nyquist) / double(bands + 1);
  at::Tensor filters = at::zeros({bands, window / 2 + 1});
  float* weight = filters.mutable_data_ptr<float>();
  for (int64_t band = 0; band < bands; ++band) {
    const double low = hertz_of_mel(step * double(band)), top = hertz_of_mel(step * double(band + 1)),
                 high = hertz_of_mel(step * double(band + 2));
    for (int64_t bin = 0; bin <= window / 2; ++bin) {
      const double hertz = double(bin * rate) / double(window);
      const double height = std::min((hertz - low) / (top - low), (high - hertz) / (high - top));
      *weight++ = float(std::max(0.0, height) * 2 / (high - low));
    }
  }
  return filters;
}

}  // namespace

at::Tensor whisper_log_mel(const at::Tensor& samples_BN, int64_t mel_bands, int64_t seconds) {
  const int64_t wanted = seconds * rate, given = samples_BN.size(-1);
  if (given > wanted)
    throw DataError("a sound of {:.3f} s for an audio encoder of {} s", double(given) / rate, seconds).hint("cut it into pieces");
  const at::Tensor filled_BN = at::constant_pad_nd(samples_BN, {0, wanted - given});
  const at::Tensor spectrum = at::stft(filled_BN, window, hop, window, at::hann_window(window, filled_BN.options()),
                                       /*center=*/true, "reflect", /*normalized=*/false, /*onesided=*/true,
                                       /*return_complex=*/true);
  const at::Tensor bins_BEF = spectrum.slice(2, 0, wanted / hop);  // E bins
  const at::Tensor power_BEF = at::real(bins_BEF).square().add_(at::imag(bins_BEF).square());
  const at::Tensor log_BMF = at::log10(at::matmul(mel_filters(mel_bands).to(power_BEF.device()), power_BEF).clamp_min(1e-10));
  return (at::maximum(log_BMF, log_BMF.amax({1, 2}, /*keepdim=*/true) - 8.0) + 4.0) / 4.0;
}

}  // namespace microemo::model
