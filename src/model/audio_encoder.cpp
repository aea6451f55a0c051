#include "microemo/model/audio_encoder.h"

#include <cmath>

#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/empty.h>

#include "microemo/base/error.h"
#include "microemo/nn/sent.h"

namespace microemo::model {
namespace {

constexpr double frame_s = 0.01;

}  // namespace

AudioEncoder::AudioEncoder(const AudioBranchOptions& options, int64_t mel_bands) : options_(options) {
  piece_tokens_ = std::llround(options.clip_s / frame_s) / options.patch_frames;
  if (piece_tokens_ < 1 || std::abs(double(piece_tokens_ * options.patch_frames) * frame_s - options.clip_s) > 1e-9)
    throw ConfigError("audio pieces of {} s cannot be cut into patches of {} frames", options.clip_s, options.patch_frames)
        .hint("make audio.clip_s a multiple of audio.patch_frames / 100");
  patch_embedding_ =
      register_module("patch_embedding", std::make_shared<nn::Linear>(options.patch_frames * mel_bands, options.width));
  position_ = register_parameter("position", at::empty({piece_tokens_, options.width}));
  for (int64_t i = 0; i < options.layers; ++i)
    blocks_.push_back(
        register_module("block" + std::to_string(i), std::make_shared<nn::TransformerBlock>(options.width, options.heads)));
  norm_ = register_module("norm", std::make_shared<nn::LayerNorm>(options.width));
}

AudioTokens AudioEncoder::forward(const at::Tensor& mel_BFM, const at::Tensor& times_BF, const at::Tensor& mask_BF) const {
  const int64_t clips = mel_BFM.size(0), frames = mel_BFM.size(1), piece_frames = piece_tokens_ * options_.patch_frames;
  const int64_t padding = (piece_frames - frames % piece_frames) % piece_frames;
  const at::Tensor normal_BFM =
      ((mel_BFM - options_.mel_mean) / options_.mel_deviation) * nn::sent(mask_BF, mel_BFM.device()).unsqueeze(2);
  const at::Tensor patches_BSF =
      at::constant_pad_nd(normal_BFM, {0, 0, 0, padding}).view({clips, -1, options_.patch_frames * mel_BFM.size(2)});
  const at::Tensor mask_BS = at::constant_pad_nd(mask_BF, {0, padding}, false).view({clips, -1, options_.patch_frames}).any(2);
  const at::Tensor times_BS = at::constant_pad_nd(times_BF, {0, padding}).view({clips, -1, options_.patch_frames}).select(2, 0) +
                              frame_s * double(options_.patch_frames - 1) / 2;

  at::Tensor x_psC =
      patch_embedding_->forward(patches_BSF).view({-1, piece_tokens_, options_.width}) + position_;  // p pieces of s tokens
  const at::Tensor mask_p11s = nn::additive_mask(nn::sent(mask_BS, mel_BFM.device()).view({-1, 1, 1, piece_tokens_}));
  for (const auto& block : blocks_) x_psC = block->forward(x_psC, mask_p11s);
  return {norm_->forward(x_psC).view({clips, -1, options_.width}), times_BS, mask_BS};
}

}  // namespace microemo::model
