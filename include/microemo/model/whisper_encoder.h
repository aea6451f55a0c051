#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include "microemo/checkpoint/hf_config.h"
#include "microemo/nn/attention.h"
#include "microemo/nn/convolution.h"

// Shapes: B sounds, N samples at 16 kHz, M mel bands, F frames of 10 ms, S tokens of 20 ms (two frames each), C width.

namespace microemo::model {

/// The defaults are whisper-large-v2's.
struct WhisperEncoderOptions {
  int64_t width = 1280, layers = 32, heads = 20, hidden = 5120;
  int64_t mel_bands = 80;
  int64_t tokens = 1500;  ///< of a sound: 30 s
};

/// Whisper's encoder (Radford et al. 2022, section 2.2) as transformers' WhisperEncoder computes it, without what it drops at
/// random when it is trained. Its keys have no bias; its sinusoidal positions are those of the checkpoint. Thread-safe while
/// nobody changes its parameters.
class WhisperEncoder : public torch::nn::Module {
 public:
  /// Throws Error(config) when the heads do not divide the width.
  explicit WhisperEncoder(const WhisperEncoderOptions& options);
  /// mel_BMF [B, mel_bands, 2 tokens] (whisper_log_mel, whisper_mel.h): what comes into the blocks, then what every block gives,
  /// [B, S, C] each; the last one is behind the last norm. Silence is padding and is heard. Throws Error(config) for another
  /// number of bands, Error(data) for another number of frames.
  std::vector<at::Tensor> forward(const at::Tensor& mel_BMF) const;

 private:
  WhisperEncoderOptions options_;
  std::shared_ptr<nn::Convolution> conv0_, conv1_;
  at::Tensor position_;
  std::vector<std::shared_ptr<nn::TransformerBlock>> blocks_;
  std::shared_ptr<nn::LayerNorm> norm_;
};

WhisperEncoderOptions whisper_encoder_options(const checkpoint::HfWhisperConfig& config);

/// The encoder of a Whisper folder in the layout of Hugging Face, with or without the decoder, or of one with our names beside
/// its config.json, in fp32. No parameter requires a gradient. Throws Error(checkpoint) as load_hubert does.
std::shared_ptr<WhisperEncoder> load_whisper_encoder(const std::filesystem::path& folder);

}  // namespace microemo::model
