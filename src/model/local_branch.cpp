#include "microemo/model/local_branch.h"

#include <algorithm>
#include <limits>

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include "microemo/base/error.h"
#include "microemo/model/pictures.h"
#include "microemo/nn/recompute.h"
#include "microemo/nn/rotary.h"
#include "microemo/nn/sent.h"

namespace microemo::model {
namespace {

// Times come as float32 seconds; frames that lie exactly on a window's border must not depend on their rounding.
constexpr double time_tolerance_s = 1e-4;

/// True at the nearest along a dimension, the first of several; true somewhere even when all are infinitely far.
at::Tensor is_nearest(const at::Tensor& distance_BTN, int64_t dim) {
  const at::Tensor numbers = at::arange(distance_BTN.size(dim), distance_BTN.options().dtype(at::kLong));
  return distance_BTN.argmin(dim, true).eq(dim == 1 ? numbers.unsqueeze(1) : numbers);
}

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

LocalBranch::LocalBranch(const LocalBranchOptions& options, const InputShapes& shapes, int64_t width, const SharedEncoder& shared)
    : options_(options), scale_(shapes.face_scale), shift_(shapes.face_shift), shared_(shared) {
  const bool own = options.encoder == FaceEncoder::own;
  if (own) {
    vit_ = register_module("vit", std::make_shared<Vit>(face_vit_shape(options, shapes, width)));
  } else {
    const VitShape& frames = shared.vit->shape();
    if (shapes.face_channels != 3 || shapes.face_side != frames.picture_width || shapes.face_side != frames.picture_height)
      throw ConfigError("the ViT of whole frames reads colour pictures of {} x {}, and faces have {} channels and {} x {} pixels",
                        frames.picture_width, frames.picture_height, shapes.face_channels, shapes.face_side, shapes.face_side)
          .at("model.local.encoder")
          .hint("set prepare.face_input=rgb and prepare.face_size to the size of a whole frame, or model.local.encoder=own");
  }
  const Vit& vit = own ? *vit_ : *shared.vit;
  patch_features_ = register_module("patch_features", std::make_shared<nn::Linear>(vit.shape().width, options.patch_features));
  const int64_t tokens = vit.patches() + int64_t(vit.shape().class_token);
  to_token_ = register_module("to_token", std::make_shared<nn::Linear>(tokens * options.patch_features, width));
  no_face_ = register_parameter("embedding_no_face", at::empty({1, width}));
  for (int64_t i = 0; i < options.temporal_layers; ++i)
    temporal_.push_back(
        register_module("temporal" + std::to_string(i), std::make_shared<nn::TransformerBlock>(width, options.heads)));
  norm_ = register_module("norm", std::make_shared<nn::LayerNorm>(width));
}

at::Tensor LocalBranch::face_tokens(const at::Tensor& faces_nCSS) const {
  const at::Tensor patches_nPC = vit_ ? vit_->forward(faces_nCSS.to(at::kFloat) * scale_ + shift_)
                                      : shared_.vit->forward(normalised_pictures(shared_.style, faces_nCSS));
  return to_token_->forward(patch_features_->forward(at::gelu(patches_nPC)).flatten(1));
}

at::Tensor LocalBranch::forward(const at::Tensor& faces_BNCSS, const at::Tensor& face_times_BN, const at::Tensor& face_mask_BN,
                                const at::Tensor& face_padding_BN) const {
  const auto there = [&](const at::Tensor& t) { return nn::sent(t, faces_BNCSS.device()); };
  const at::Tensor times_BN = there(face_times_BN), padding_BN = there(face_padding_BN);
  const int64_t clips = faces_BNCSS.size(0), frames = faces_BNCSS.size(1), width = no_face_.size(1);
  const at::Tensor found = there(face_mask_BN.logical_and(face_padding_BN).flatten().nonzero().squeeze(1));
  const at::Tensor tokens_nC = face_tokens(faces_BNCSS.flatten(0, 1).index_select(0, found));
  at::Tensor x_BNC = no_face_.expand({clips * frames, -1}).index_copy(0, found, tokens_nC).view({clips, frames, width});
  x_BNC = x_BNC + nn::time_features(times_BN, width);

  const at::Tensor near_BNN =
      (times_BN.unsqueeze(2) - times_BN.unsqueeze(1)).abs().le(options_.temporal_reach_s + time_tolerance_s);
  const at::Tensor mask_B1NN = nn::additive_mask(near_BNN.logical_and(padding_BN.unsqueeze(1))).unsqueeze(1);
  for (size_t i = 0; i < temporal_.size(); ++i) {
    const auto block = [block = temporal_[i], mask_B1NN](const at::Tensor& x) { return block->forward(x, mask_B1NN); };
    const bool again = i < recomputed_.size() && recomputed_[i];
    x_BNC = again ? nn::recomputed(block, x_BNC, temporal_[i]->parameters()) : block(x_BNC);
  }
  return norm_->forward(x_BNC);
}

void LocalBranch::recompute_layers(std::vector<bool> chosen) {
  if (vit_) vit_->recompute_blocks(std::ranges::all_of(chosen, [](bool one) { return one; }));
  recomputed_ = std::move(chosen);
}

void LocalBranch::replay_shapes() {
  if (vit_) vit_->replay_shapes();
}

GlobalLocalAttention::GlobalLocalAttention(const LocalBranchOptions& options, int64_t width) : options_(options) {
  frame_norm_ = register_module("frame_norm", std::make_shared<nn::LayerNorm>(width));
  if (options.attention == GlobalLocal::faces_ask)
    face_norm_ = register_module("face_norm", std::make_shared<nn::LayerNorm>(width));
  attention_ = register_module("attention", std::make_shared<nn::Attention>(nn::AttentionOptions{
                                                .width = width, .heads = options.heads, .zero_output = options.zero_start}));
}

at::Tensor GlobalLocalAttention::frames_ask(const at::Tensor& frames_BTQC, const at::Tensor& faces_BNC,
                                            const at::Tensor& near_BTN) const {
  const at::Tensor mask_B1LN = nn::additive_mask(near_BTN.repeat_interleave(frames_BTQC.size(2), 1)).unsqueeze(1);
  const at::Tensor mixed_BLC = attention_->forward(frame_norm_->forward(frames_BTQC).flatten(1, 2), faces_BNC, mask_B1LN);
  const at::Tensor seen_BT11 = near_BTN.any(2).unsqueeze(2).unsqueeze(3);
  return frames_BTQC + mixed_BLC.view(frames_BTQC.sizes()) * seen_BT11;
}

at::Tensor GlobalLocalAttention::faces_ask(const at::Tensor& frames_BTQC, const at::Tensor& faces_BNC, const at::Tensor& near_BTN,
                                           const at::Tensor& nearest_BTN) const {
  const at::Tensor near_BNT = near_BTN.transpose(1, 2);
  const at::Tensor mask_B1NL = nn::additive_mask(near_BNT.repeat_interleave(frames_BTQC.size(2), 2)).unsqueeze(1);
  const at::Tensor mixed_BNC =
      attention_->forward(face_norm_->forward(faces_BNC), frame_norm_->forward(frames_BTQC).flatten(1, 2), mask_B1NL);
  const at::Tensor told_BNC = faces_BNC + mixed_BNC * near_BNT.any(2, true);
  const at::Tensor taken_BTN = at::where(near_BTN.any(2, true), near_BTN, nearest_BTN).to(told_BNC.scalar_type());
  const at::Tensor mean_BTC = at::matmul(taken_BTN, told_BNC) / taken_BTN.sum(2, true);
  return at::cat({frames_BTQC, mean_BTC.unsqueeze(2)}, 2);
}

at::Tensor GlobalLocalAttention::forward(const at::Tensor& frames_BTQC, const at::Tensor& faces_BNC,
                                         const at::Tensor& frame_times_BT, const at::Tensor& frame_mask_BT,
                                         const at::Tensor& face_times_BN, const at::Tensor& face_padding_BN) const {
  const auto there = [&](const at::Tensor& t) { return nn::sent(t, frames_BTQC.device()); };
  const at::Tensor distance_BTN = (there(frame_times_BT).unsqueeze(2) - there(face_times_BN).unsqueeze(1)).abs();
  const at::Tensor real_BTN = there(frame_mask_BT).unsqueeze(2).logical_and(there(face_padding_BN).unsqueeze(1));
  const at::Tensor far_BTN = distance_BTN.masked_fill(real_BTN.logical_not(), std::numeric_limits<float>::infinity());
  const at::Tensor near_BTN =
      (options_.window_s > 0 ? distance_BTN.le(options_.window_s / 2 + time_tolerance_s) : is_nearest(far_BTN, 1))
          .logical_and(real_BTN);
  if (options_.attention == GlobalLocal::frames_ask) return frames_ask(frames_BTQC, faces_BNC, near_BTN);
  return faces_ask(frames_BTQC, faces_BNC, near_BTN, is_nearest(far_BTN, 2));
}

}  // namespace microemo::model
