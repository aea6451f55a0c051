#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include "microemo/model/windows.h"
#include "microemo/nn/linear.h"

// Shapes: B clips, T moments, P tokens of each, M their width, D width of the fused token.

namespace microemo::model {

/// One token of a clip: the sum of its tokens, each times a linear score of it, without a softmax (AffectGPT 2025, MERTools).
/// Module "score".
class AttentionPool : public torch::nn::Module {
 public:
  explicit AttentionPool(int64_t width);
  /// -> [B, 1, 1, M]: one window of one token. Throws Error(data) as require_moments does.
  at::Tensor forward(const TimedTokens& memory, const std::vector<std::string>& ids = {}) const;

 private:
  std::shared_ptr<nn::Linear> score_;
};

/// One token of picture and sound: v and a are linear maps of the means over a clip's tokens, and of them
/// w = weights(mix([v, a])) takes w_0 v + w_1 a, without a softmax (AffectGPT 2025, MERTools). Modules "video", "audio", "mix",
/// "weights".
class AttentionFusion : public torch::nn::Module {
 public:
  AttentionFusion(int64_t video_width, int64_t audio_width, int64_t width);
  /// -> [B, D]. Throws Error(data) as require_moments does.
  at::Tensor forward(const TimedTokens& video, const TimedTokens& audio, const std::vector<std::string>& ids = {}) const;

 private:
  std::shared_ptr<nn::Linear> video_, audio_, mix_, weights_;
};

}  // namespace microemo::model
