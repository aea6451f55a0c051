#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include "microemo/model/options.h"
#include "microemo/nn/attention.h"

// Shapes: B clips, F log-mel frames (10 ms), M mel bands, S audio tokens, C width.

namespace microemo::model {

/// Tokens of sound on the clip's clock.
struct AudioTokens {
  at::Tensor tokens_BSC, times_BS, mask_BS;
};

/// Transformer over log-mel patches: the sound is cut into pieces of clip_s, a piece into patches of patch_frames over all bands;
/// tokens of a piece attend to each other.
class AudioEncoder : public torch::nn::Module {
 public:
  AudioEncoder(const AudioBranchOptions& options, int64_t mel_bands);
  /// mel [B, F, M] log-mel not normalised, times [B, F] seconds, mask [B, F] false is padding; both on the CPU,
  /// as those of what it gives are.
  AudioTokens forward(const at::Tensor& mel_BFM, const at::Tensor& times_BF, const at::Tensor& mask_BF) const;

 private:
  AudioBranchOptions options_;
  int64_t piece_tokens_;
  std::shared_ptr<nn::Linear> patch_embedding_;
  at::Tensor position_;
  std::vector<std::shared_ptr<nn::TransformerBlock>> blocks_;
  std::shared_ptr<nn::LayerNorm> norm_;
};

}  // namespace microemo::model
