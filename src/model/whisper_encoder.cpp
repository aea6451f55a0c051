#include "microemo/model/whisper_encoder.h"

#include <cmath>

#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/hann_window.h>
#include <ATen/ops/log10.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/stft.h>
#include <ATen/ops/zeros.h>

#include "load_encoder.h"
#include "microemo/base/error.h"

namespace microemo::model {
namespace {

constexpr double norm_epsilon = 1e-5;
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

WhisperEncoder::WhisperEncoder(const WhisperEncoderOptions& o) : options_(o) {
  conv0_ = register_module("conv0", std::make_shared<nn::Convolution>(
                                        nn::ConvolutionOptions{.in = o.mel_bands, .out = o.width, .kernel = 3, .padding = 1}));
  conv1_ = register_module("conv1", std::make_shared<nn::Convolution>(nn::ConvolutionOptions{
                                        .in = o.width, .out = o.width, .kernel = 3, .stride = 2, .padding = 1}));
  position_ = register_parameter("position", at::empty({o.tokens, o.width}));
  const nn::BlockOptions block{
      .attention = {.width = o.width, .heads = o.heads, .key_bias = false}, .hidden = o.hidden, .norm_epsilon = norm_epsilon};
  for (int64_t i = 0; i < o.layers; ++i)
    blocks_.push_back(register_module("block" + std::to_string(i), std::make_shared<nn::TransformerBlock>(block)));
  norm_ = register_module("norm", std::make_shared<nn::LayerNorm>(o.width, norm_epsilon));
}

std::vector<at::Tensor> WhisperEncoder::forward(const at::Tensor& mel_BMF) const {
  MICROEMO_CHECK(mel_BMF.dim() == 3, "spectrograms have three dimensions, not {}", mel_BMF.dim());
  if (mel_BMF.size(1) != options_.mel_bands)
    throw ConfigError("a spectrogram of {} mel bands for an audio encoder of {}", mel_BMF.size(1), options_.mel_bands)
        .hint("make it with as many bands as the encoder has");
  if (mel_BMF.size(2) != 2 * options_.tokens)
    throw DataError("a spectrogram of {} frames; the audio encoder wants {}", mel_BMF.size(2), 2 * options_.tokens)
        .hint("fill the sound with silence, or cut it into pieces");
  std::vector<at::Tensor> states;
  at::Tensor x_BCS = at::gelu(conv1_->forward(at::gelu(conv0_->forward(mel_BMF))));
  at::Tensor x_BSC = x_BCS.transpose(1, 2) + position_;
  for (const auto& block : blocks_) {
    states.push_back(x_BSC);
    x_BSC = block->forward(x_BSC);
  }
  states.push_back(norm_->forward(x_BSC));
  return states;
}

at::Tensor whisper_log_mel(const at::Tensor& samples_BN, int64_t mel_bands, int64_t seconds) {
  const int64_t wanted = seconds * rate, given = samples_BN.size(-1);
  if (given > wanted)
    throw DataError("a sound of {:.3f} s for an audio encoder of {} s", double(given) / rate, seconds).hint("cut it into pieces");
  const at::Tensor filled_BN = at::constant_pad_nd(samples_BN, {0, wanted - given});
  const at::Tensor spectrum = at::stft(filled_BN, window, hop, window, at::hann_window(window, filled_BN.options()),
                                       /*center=*/true, "reflect", /*normalized=*/false, /*onesided=*/true,
                                       /*return_complex=*/true);
  const at::Tensor power_BEF = spectrum.slice(2, 0, wanted / hop).abs().square();  // E bins
  const at::Tensor log_BMF = at::log10(at::matmul(mel_filters(mel_bands).to(power_BEF.device()), power_BEF).clamp_min(1e-10));
  return (at::maximum(log_BMF, log_BMF.amax({1, 2}, /*keepdim=*/true) - 8.0) + 4.0) / 4.0;
}

WhisperEncoderOptions whisper_encoder_options(const checkpoint::HfWhisperConfig& config) {
  return {.width = config.d_model,
          .layers = config.encoder_layers,
          .heads = config.encoder_attention_heads,
          .hidden = config.encoder_ffn_dim,
          .mel_bands = config.num_mel_bins,
          .tokens = config.max_source_positions};
}

std::shared_ptr<WhisperEncoder> load_whisper_encoder(const std::filesystem::path& folder) {
  const WhisperEncoderOptions options = whisper_encoder_options(config_of<checkpoint::HfWhisperConfig>(folder, "whisper"));
  const checkpoint::NamedTensors tensors = checkpoint::read_part(folder, "audio_encoder", "whisper");
  checkpoint::require_size(block_parameters(options.layers, options.width, options.hidden), tensors, folder);
  return frozen_with(std::make_shared<WhisperEncoder>(options), tensors, folder);
}

}  // namespace microemo::model
