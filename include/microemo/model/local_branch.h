#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include "microemo/model/options.h"
#include "microemo/model/vit.h"
#include "microemo/nn/attention.h"

// Shapes: B clips, N native-rate face frames, S side of a face input, C width, T whole frames, Q query tokens of a frame.

namespace microemo::model {

/// Face tokens at the native frame rate: a ViT over each aligned face, its patches laid side by side into one token (so that the
/// token keeps where something moved), then a temporal encoder in which a token sees its neighbours within temporal_reach_s. A
/// frame without a face gets a learned "no face" token.
class LocalBranch : public torch::nn::Module {
 public:
  LocalBranch(const LocalBranchOptions& options, const InputShapes& shapes, int64_t width);
  /// faces [B, N, channels, S, S] uint8 or int8; times [B, N] seconds; face_mask true where a face was found; padding_BN false is
  /// padding -> [B, N, C].
  at::Tensor forward(const at::Tensor& faces_BNCSS, const at::Tensor& times_BN, const at::Tensor& face_mask_BN,
                     const at::Tensor& padding_BN) const;

 private:
  at::Tensor face_tokens(const at::Tensor& faces_nCSS) const;

  LocalBranchOptions options_;
  double scale_, shift_;
  std::shared_ptr<Vit> vit_;
  std::shared_ptr<nn::Linear> patch_features_, to_token_;
  at::Tensor no_face_;
  std::vector<std::shared_ptr<nn::TransformerBlock>> temporal_;
  std::shared_ptr<nn::LayerNorm> norm_;
};

/// Global-local attention: G' = G + W attn(G, L near t). Each whole frame's tokens look at the face tokens within window_s / 2 of
/// it; W starts at 0, so that step 0 is the model without a face branch. A frame with no face token near keeps G.
class GlobalLocalAttention : public torch::nn::Module {
 public:
  GlobalLocalAttention(const LocalBranchOptions& options, int64_t width);
  /// frames [B, T, Q, C] at frame_times [B, T]; faces [B, N, C] at face_times [B, N], padding false -> [B, T, Q, C].
  at::Tensor forward(const at::Tensor& frames_BTQC, const at::Tensor& faces_BNC, const at::Tensor& frame_times_BT,
                     const at::Tensor& face_times_BN, const at::Tensor& face_padding_BN) const;

 private:
  double window_s_;
  std::shared_ptr<nn::LayerNorm> frame_norm_;
  std::shared_ptr<nn::Attention> attention_;
};

}  // namespace microemo::model
