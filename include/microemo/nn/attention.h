#pragma once
#include <cstdint>
#include <memory>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include "microemo/nn/linear.h"

// Shapes: B rows, L query positions, S key positions, C width, H heads, E width of a head.

namespace microemo::nn {

/// Additive attention mask from what may be seen: 0 where `visible` (bool, any shape) and -1e9 elsewhere, float32. Not minus
/// infinity: a row that sees nothing then averages instead of turning into NaN.
at::Tensor additive_mask(const at::Tensor& visible);

/// Multi-head attention with separate query and key/value inputs (Vaswani et al. 2017, section 3.2). Softmax of q k^T / sqrt(E) +
/// mask.
class Attention : public torch::nn::Module {
 public:
  /// `memory_width` is the width of the keys' and values' input; `zero_output` starts the output projection at 0 (see initialise
  /// in nn/init.h).
  Attention(int64_t width, int64_t memory_width, int64_t heads, bool zero_output = false);
  /// x_BLC, memory_BSC; mask additive, broadcastable to [B, H, L, S], or undefined. Returns [B, L, C].
  at::Tensor forward(const at::Tensor& x_BLC, const at::Tensor& memory_BSC, const at::Tensor& mask = {}) const;

 private:
  int64_t heads_;
  std::shared_ptr<Linear> query_, key_, value_, output_;
};

/// Two linear layers with GELU between them.
class Mlp : public torch::nn::Module {
 public:
  Mlp(int64_t width, int64_t hidden);
  at::Tensor forward(const at::Tensor& x) const;

 private:
  std::shared_ptr<Linear> up_, down_;
};

/// Pre-norm transformer block: x + attention(norm(x)), then x + mlp(norm(x)).
class TransformerBlock : public torch::nn::Module {
 public:
  TransformerBlock(int64_t width, int64_t heads);
  at::Tensor forward(const at::Tensor& x_BLC, const at::Tensor& mask = {}) const;

 private:
  std::shared_ptr<LayerNorm> attention_norm_, mlp_norm_;
  std::shared_ptr<Attention> attention_;
  std::shared_ptr<Mlp> mlp_;
};

/// One Q-Former layer (BLIP-2; Li et al. 2023, section 3.1): the tokens attend to each other, the query tokens (the first
/// `queries` of them) attend to the memory, then an MLP. Pre-norm.
class QFormerLayer : public torch::nn::Module {
 public:
  QFormerLayer(int64_t width, int64_t memory_width, int64_t heads);
  /// tokens_BLC, of which the first `queries` look at memory_BSC; self_mask for [L, L], memory_mask for [queries, S], additive,
  /// or undefined. `queries_only` returns the queries' places alone and does not compute the others: for the last layer, where
  /// they are dropped.
  at::Tensor forward(const at::Tensor& tokens_BLC, int64_t queries, const at::Tensor& memory_BSC, const at::Tensor& self_mask,
                     const at::Tensor& memory_mask, bool queries_only = false) const;

 private:
  std::shared_ptr<LayerNorm> self_norm_, memory_norm_, mlp_norm_;
  std::shared_ptr<Attention> self_attention_, memory_attention_;
  std::shared_ptr<Mlp> mlp_;
};

}  // namespace microemo::nn
