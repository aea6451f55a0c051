#include "microemo/model/attention_pool.h"

#include <ATen/ops/cat.h>

#include "microemo/nn/sent.h"

namespace microemo::model {
namespace {

at::Tensor weights_of(const TimedTokens& memory) {
  const at::Tensor& tokens = memory.tokens_BTPM;
  return nn::sent(memory.mask_BT, tokens.device()).unsqueeze(2).unsqueeze(3).to(tokens.scalar_type());
}

at::Tensor mean_of_clip(const TimedTokens& memory) {
  const at::Tensor mean_BTM = memory.tokens_BTPM.mean(2), weight_BT1 = weights_of(memory).squeeze(3);
  return (mean_BTM * weight_BT1).sum(1) / weight_BT1.sum(1);
}

}  // namespace

AttentionPool::AttentionPool(int64_t width) { score_ = register_module("score", std::make_shared<nn::Linear>(width, 1)); }

at::Tensor AttentionPool::forward(const TimedTokens& memory, const std::vector<std::string>& ids) const {
  require_moments(memory.mask_BT, ids);
  const at::Tensor scores_BTP1 = score_->forward(memory.tokens_BTPM) * weights_of(memory);
  return (scores_BTP1 * memory.tokens_BTPM).flatten(1, 2).sum(1).unsqueeze(1).unsqueeze(1);
}

AttentionFusion::AttentionFusion(int64_t video_width, int64_t audio_width, int64_t width) {
  const auto add = [this](const char* name, int64_t in, int64_t out) {
    return register_module(name, std::make_shared<nn::Linear>(in, out));
  };
  video_ = add("video", video_width, width);
  audio_ = add("audio", audio_width, width);
  mix_ = add("mix", 2 * width, width);
  weights_ = add("weights", width, 2);
}

at::Tensor AttentionFusion::forward(const TimedTokens& video, const TimedTokens& audio,
                                    const std::vector<std::string>& ids) const {
  require_moments(video.mask_BT, ids);
  require_moments(audio.mask_BT, ids);
  const at::Tensor video_BD = video_->forward(mean_of_clip(video)), audio_BD = audio_->forward(mean_of_clip(audio));
  const at::Tensor weights_B2 = weights_->forward(mix_->forward(at::cat({video_BD, audio_BD}, 1)));
  return weights_B2.slice(1, 0, 1) * video_BD + weights_B2.slice(1, 1, 2) * audio_BD;
}

}  // namespace microemo::model
