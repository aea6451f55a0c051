#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include "microemo/checkpoint/hf_config.h"
#include "microemo/nn/attention.h"

// Shapes: B sounds, N samples at 16 kHz, F frames (one of 320 samples with the public convolutions), C width.

namespace microemo::model {

/// One convolution over the waveform.
struct WaveConvolution {
  int64_t channels = 512, kernel = 2, stride = 2;
};

enum class WaveNorm {
  every_layer,  ///< LayerNorm over the channels behind every convolution (large)
  first_group,  ///< each channel over the time of the whole row, padding included, behind the first convolution (base)
};

/// The defaults are HuBERT-large's (chinese-hubert-large).
struct HubertOptions {
  int64_t width = 1024, layers = 24, heads = 16, hidden = 4096;
  std::vector<WaveConvolution> convolutions = {{512, 10, 5}, {512, 3, 2}, {512, 3, 2}, {512, 3, 2},
                                               {512, 3, 2},  {512, 2, 2}, {512, 2, 2}};
  WaveNorm wave_norm = WaveNorm::every_layer;
  bool convolution_bias = false;
  bool feature_norm = true;  ///< a norm before the projection to the width
  int64_t position_kernel = 128, position_groups = 16;
  nn::NormPlace norms = nn::NormPlace::before;  ///< before: "stable layer norm", with a last norm behind the blocks
  double norm_epsilon = 1e-5;                   ///< of all norms but those of the convolutions, whose is 1e-5
  bool masked_embedding = true;                 ///< a learned row for frames that are hidden; some files lack it
};

/// states_BFC are the projected frames with their positions, then what every block gives; the last one is behind the last norm.
/// visible_BF is false for frames of padding, whose states mean nothing.
struct HubertStates {
  std::vector<at::Tensor> states_BFC;
  at::Tensor visible_BF;
};

/// HuBERT (Hsu et al. 2021) as transformers' HubertModel computes it, without what it drops at random when it is trained.
/// Thread-safe while nobody changes its parameters.
class Hubert : public torch::nn::Module {
 public:
  /// Throws Error(config) when heads or groups do not divide the width, or there is no convolution.
  explicit Hubert(const HubertOptions& options);

  /// samples_BN float, rows normalised as the checkpoint wants (normalised_samples), zero beyond their length; `lengths` samples
  /// of each row, empty when all rows are whole: then no mask exists, and padding is heard. hidden_BF (bool, or undefined) marks
  /// frames that the learned row replaces. Throws Error(data) for a row that is too short for one frame.
  HubertStates forward(const at::Tensor& samples_BN, const std::vector<int64_t>& lengths = {},
                       const at::Tensor& hidden_BF = {}) const;

  /// Frames of so many samples; 0 or less when they are too few.
  int64_t frames(int64_t samples) const;
  /// The least number of samples that gives a frame: 400 with the public convolutions.
  int64_t shortest() const;

 private:
  class WaveLayer;
  class PositionConvolution;

  at::Tensor features(const at::Tensor& samples_BN) const;
  void check(const at::Tensor& samples_BN, const std::vector<int64_t>& lengths) const;
  at::Tensor visible(const at::Tensor& samples_BN, const std::vector<int64_t>& lengths) const;

  HubertOptions options_;
  std::vector<std::shared_ptr<WaveLayer>> convolutions_;
  std::shared_ptr<nn::LayerNorm> feature_norm_, norm_;
  std::shared_ptr<nn::Linear> feature_projection_;
  at::Tensor embedding_masked_;
  std::shared_ptr<PositionConvolution> position_conv_;
  std::vector<std::shared_ptr<nn::TransformerBlock>> blocks_;
};

enum class SampleNorm {
  per_sound,  ///< each row over its own length
  joint,      ///< all rows together, padding included: what AffectGPT 2025 does, so that a clip's values depend on the others
};

/// (x - mean) / sqrt(variance + 1e-7), zero beyond a row's length: what HuBERT-large and Wav2Vec 2 want (transformers'
/// Wav2Vec2FeatureExtractor with do_normalize). `lengths` as above.
at::Tensor normalised_samples(const at::Tensor& samples_BN, const std::vector<int64_t>& lengths = {},
                              SampleNorm norm = SampleNorm::per_sound);

/// The mean of the last `layers` states, [B, F, C]. Throws Error(config) when there are fewer.
at::Tensor mean_of_last_states(const HubertStates& states, int64_t layers = 4);

/// The same, then over the visible frames, [B, C]: AffectGPT 2025's token of a clip, which takes 4.
at::Tensor mean_of_last(const HubertStates& states, int64_t layers = 4);

HubertOptions hubert_options(const checkpoint::HfHubertConfig& config);

/// A HuBERT folder in the layout of Hugging Face, or one with our names beside its config.json, in fp32. No parameter requires a
/// gradient. Throws Error(checkpoint) as read_hf_config and read_part do, and for names or shapes that are not those of
/// config.json, naming them with both shapes.
std::shared_ptr<Hubert> load_hubert(const std::filesystem::path& folder);

}  // namespace microemo::model
