#include "microemo/model/whisper_encoder.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/gelu.h>

#include "load_encoder.h"
#include "microemo/base/error.h"

namespace microemo::model {
namespace {

constexpr double norm_epsilon = 1e-5;

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
