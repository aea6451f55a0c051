#include "microemo/model/local_branch.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include "microemo/nn/rotary.h"

namespace microemo::model {
namespace {

// Times come as float32 seconds; frames that lie exactly on a window's border must not depend on their rounding.
constexpr double time_tolerance_s = 1e-4;

VitShape face_vit_shape(const LocalBranchOptions& options, const InputShapes& shapes, int64_t width) {
  return {.channels = shapes.face_channels,
          .picture_height = shapes.face_side,
          .picture_width = shapes.face_side,
          .patch = options.patch,
          .width = width,
          .layers = options.layers,
          .heads = options.heads};
}

}  // namespace

LocalBranch::LocalBranch(const LocalBranchOptions& options, const InputShapes& shapes, int64_t width)
    : options_(options), scale_(shapes.face_scale), shift_(shapes.face_shift) {
  vit_ = register_module("vit", std::make_shared<Vit>(face_vit_shape(options, shapes, width)));
  patch_features_ = register_module("patch_features", std::make_shared<nn::Linear>(width, options.patch_features));
  to_token_ = register_module("to_token", std::make_shared<nn::Linear>(vit_->patches() * options.patch_features, width));
  no_face_ = register_parameter("embedding_no_face", at::empty({1, width}));
  for (int64_t i = 0; i < options.temporal_layers; ++i)
    temporal_.push_back(
        register_module("temporal" + std::to_string(i), std::make_shared<nn::TransformerBlock>(width, options.heads)));
  norm_ = register_module("norm", std::make_shared<nn::LayerNorm>(width));
}

at::Tensor LocalBranch::face_tokens(const at::Tensor& faces_nCSS) const {
  const at::Tensor patches_nPC = at::gelu(vit_->forward(faces_nCSS.to(at::kFloat) * scale_ + shift_));
  return to_token_->forward(patch_features_->forward(patches_nPC).flatten(1));
}

at::Tensor LocalBranch::forward(const at::Tensor& faces_BNCSS, const at::Tensor& times_BN, const at::Tensor& face_mask_BN,
                                const at::Tensor& padding_BN) const {
  const int64_t clips = faces_BNCSS.size(0), frames = faces_BNCSS.size(1), width = no_face_.size(1);
  const at::Tensor found = face_mask_BN.logical_and(padding_BN).flatten().nonzero().squeeze(1);
  const at::Tensor tokens_nC = face_tokens(faces_BNCSS.flatten(0, 1).index_select(0, found));
  at::Tensor x_BNC = no_face_.expand({clips * frames, -1}).index_copy(0, found, tokens_nC).view({clips, frames, width});
  x_BNC = x_BNC + nn::time_features(times_BN, width);

  const at::Tensor near_BNN =
      (times_BN.unsqueeze(2) - times_BN.unsqueeze(1)).abs().le(options_.temporal_reach_s + time_tolerance_s);
  const at::Tensor mask_B1NN = nn::additive_mask(near_BNN.logical_and(padding_BN.unsqueeze(1))).unsqueeze(1);
  for (const auto& block : temporal_) x_BNC = block->forward(x_BNC, mask_B1NN);
  return norm_->forward(x_BNC);
}

GlobalLocalAttention::GlobalLocalAttention(const LocalBranchOptions& options, int64_t width) : window_s_(options.window_s) {
  frame_norm_ = register_module("frame_norm", std::make_shared<nn::LayerNorm>(width));
  attention_ = register_module("attention", std::make_shared<nn::Attention>(nn::AttentionOptions{
                                                .width = width, .heads = options.heads, .zero_output = true}));
}

at::Tensor GlobalLocalAttention::forward(const at::Tensor& frames_BTQC, const at::Tensor& faces_BNC,
                                         const at::Tensor& frame_times_BT, const at::Tensor& face_times_BN,
                                         const at::Tensor& face_padding_BN) const {
  const int64_t queries = frames_BTQC.size(2);
  const at::Tensor distance_BTN = (frame_times_BT.unsqueeze(2) - face_times_BN.unsqueeze(1)).abs();
  const at::Tensor visible_BTN = distance_BTN.le(window_s_ / 2 + time_tolerance_s).logical_and(face_padding_BN.unsqueeze(1));
  const at::Tensor mask_B1LN = nn::additive_mask(visible_BTN.repeat_interleave(queries, 1)).unsqueeze(1);
  const at::Tensor mixed_BLC = attention_->forward(frame_norm_->forward(frames_BTQC).flatten(1, 2), faces_BNC, mask_B1LN);
  const at::Tensor seen_BT11 = visible_BTN.any(2).unsqueeze(2).unsqueeze(3);
  return frames_BTQC + mixed_BLC.view(frames_BTQC.sizes()) * seen_BT11;
}

}  // namespace microemo::model
