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

/// The ViT of whole frames when it reads the faces too, and how bytes become its input.
struct SharedEncoder {
  std::shared_ptr<const Vit> vit;
  VisualStyle style = VisualStyle::plain;
};

/// Face tokens at the native frame rate: a ViT over each aligned face, its patches laid side by side into one token (so that the
/// token keeps where something moved), then a temporal encoder in which a token sees its neighbours within temporal_reach_s. A
/// frame without a face gets a learned "no face" token.
class LocalBranch : public torch::nn::Module {
 public:
  /// `shared` is asked for by FaceEncoder::shared alone; its parameters stay its owner's. Throws Error(config) when the faces are
  /// not pictures of its size.
  LocalBranch(const LocalBranchOptions& options, const InputShapes& shapes, int64_t width, const SharedEncoder& shared = {});
  /// faces [B, N, channels, S, S] uint8 or int8; on the CPU times [B, N] in seconds, face_mask true where a face was found, and
  /// padding_BN, false is padding -> [B, N, C].
  at::Tensor forward(const at::Tensor& faces_BNCSS, const at::Tensor& times_BN, const at::Tensor& face_mask_BN,
                     const at::Tensor& padding_BN) const;
  /// Which temporal layers backward computes again instead of keeping what they made (nn::recomputed); where it is all of them,
  /// also the blocks of its own ViT.
  void recompute_layers(std::vector<bool> chosen);
  /// That of its own ViT (Vit::replay_shapes), for a number of faces that comes again.
  void replay_shapes();

 private:
  at::Tensor face_tokens(const at::Tensor& faces_nCSS) const;

  LocalBranchOptions options_;
  double scale_, shift_;
  SharedEncoder shared_;
  std::shared_ptr<Vit> vit_;
  std::shared_ptr<nn::Linear> patch_features_, to_token_;
  at::Tensor no_face_;
  std::vector<std::shared_ptr<nn::TransformerBlock>> temporal_;
  std::vector<bool> recomputed_;
  std::shared_ptr<nn::LayerNorm> norm_;
};

/// Global-local attention. With frames_ask G' = G + W attn(G, L near t): each whole frame's tokens look at the face tokens within
/// window_s / 2 of it, and a frame with no face token near keeps G; with zero_start W starts at 0, so that step 0 is the model
/// without a face branch. With faces_ask L' = L + W attn(L, G near t): each face token looks at the tokens of the whole frames
/// within window_s / 2 of it, and the mean of the L' near a frame is one more token of that frame (none near: that of the face
/// token nearest in time). With window_s 0 a face is near the one whole frame that is nearest in time.
class GlobalLocalAttention : public torch::nn::Module {
 public:
  GlobalLocalAttention(const LocalBranchOptions& options, int64_t width);
  /// frames [B, T, Q, C] at frame_times [B, T]; faces [B, N, C] at face_times [B, N]; false in a mask is padding; times
  /// and masks on the CPU -> [B, T, Q, C], with faces_ask [B, T, Q + 1, C].
  at::Tensor forward(const at::Tensor& frames_BTQC, const at::Tensor& faces_BNC, const at::Tensor& frame_times_BT,
                     const at::Tensor& frame_mask_BT, const at::Tensor& face_times_BN, const at::Tensor& face_padding_BN) const;

 private:
  at::Tensor frames_ask(const at::Tensor& frames_BTQC, const at::Tensor& faces_BNC, const at::Tensor& near_BTN) const;
  at::Tensor faces_ask(const at::Tensor& frames_BTQC, const at::Tensor& faces_BNC, const at::Tensor& near_BTN,
                       const at::Tensor& nearest_BTN) const;

  LocalBranchOptions options_;
  std::shared_ptr<nn::LayerNorm> frame_norm_, face_norm_;
  std::shared_ptr<nn::Attention> attention_;
};

}  // namespace microemo::model
