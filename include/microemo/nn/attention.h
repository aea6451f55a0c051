#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <utility>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include "microemo/nn/linear.h"

// Shapes: B rows, L query positions, S key positions, C width, H heads, E width of a head.
//
// One implementation serves our own encoders and the public ones; what differs between them is an option. The defaults are ours.

namespace microemo::nn {

/// Additive attention mask from what may be seen: 0 where `visible` (bool, any shape) and -1e9 elsewhere, float32. Not minus
/// infinity: a row that sees nothing then averages instead of turning into NaN.
at::Tensor additive_mask(const at::Tensor& visible);

enum class Activation {
  gelu,        ///< x Phi(x), exact (BERT, EVA, HuBERT, Whisper, ImageBind)
  quick_gelu,  ///< x sigmoid(1.702 x) (CLIP)
  gelu_new,    ///< GELU's approximation by tanh (Hendrycks and Gimpel 2016)
};
constexpr auto names_of(Activation) {
  return std::array{std::pair{Activation::gelu, "gelu"}, std::pair{Activation::quick_gelu, "quick_gelu"},
                    std::pair{Activation::gelu_new, "gelu_new"}};
}
at::Tensor activate(Activation activation, const at::Tensor& x);

/// Where a residual branch has its norm: x + branch(norm(x)), or norm(x + branch(x)) as in BERT.
enum class NormPlace { before, after };

struct AttentionOptions {
  int64_t width = 0, heads = 1;
  int64_t memory_width = 0;  ///< width of what keys and values are made of; 0: width
  bool query_bias = true, key_bias = true, value_bias = true, output_bias = true;
  bool extra_key_value = false;  ///< one learned key and value after those of the memory, seen by all (ImageBind's bias_kv)
  bool zero_output = false;      ///< the output projection starts at 0 (see initialise in nn/init.h)
  double dropout = 0;            ///< of the probabilities, and of the output before it is added (BERT); wants keys
};

/// Multi-head attention with separate query and key/value inputs (Vaswani et al. 2017, section 3.2). Softmax of q k^T / sqrt(E) +
/// mask. Parameters "query", "key", "value", "output" (or "zero_output"), and "extra_key", "extra_value" [C].
class Attention : public torch::nn::Module {
 public:
  /// Throws Error(config) when the heads do not divide the width.
  explicit Attention(const AttentionOptions& options);
  /// x_BLC, memory_BSC; mask additive, broadcastable to [B, H, L, S], or undefined. Returns [B, L, C].
  at::Tensor forward(const at::Tensor& x_BLC, const at::Tensor& memory_BSC, const at::Tensor& mask = {}) const;
  /// sum_BLC + forward(x_BLC, memory_BSC, mask), without a tensor in between.
  at::Tensor add_to(const at::Tensor& sum_BLC, const at::Tensor& x_BLC, const at::Tensor& memory_BSC, const at::Tensor& mask = {},
                    const DropoutKeys& keys = {}) const;

 private:
  at::Tensor mixed(const at::Tensor& x_BLC, const at::Tensor& memory_BSC, const at::Tensor& mask, const DropoutKeys& keys) const;
  at::Tensor with_extra(const at::Tensor& t_BSC, const at::Tensor& extra_C) const;

  int64_t heads_;
  double dropout_;
  std::shared_ptr<Linear> query_, key_, value_, output_;
  at::Tensor extra_key_, extra_value_;
};

struct MlpOptions {
  int64_t width = 0;
  int64_t hidden = 0;  ///< 0: 4 width
  Activation activation = Activation::gelu;
  double dropout = 0;  ///< of the output before it is added (BERT); wants keys
};

/// Two linear layers, "up" and "down", with an activation between them.
class Mlp : public torch::nn::Module {
 public:
  explicit Mlp(const MlpOptions& options);
  at::Tensor forward(const at::Tensor& x) const;
  /// sum + forward(x), without a tensor in between.
  at::Tensor add_to(const at::Tensor& sum, const at::Tensor& x, const DropoutKeys& keys = {}) const;

 private:
  Activation activation_;
  double dropout_;
  std::shared_ptr<Linear> up_, down_;
};

struct BlockOptions {
  AttentionOptions attention;  ///< width and heads; memory_width stays 0
  int64_t hidden = 0;          ///< 0: 4 width
  Activation activation = Activation::gelu;
  NormPlace norms = NormPlace::before;
  double norm_epsilon = 1e-6;
  double drop_path = 0;  ///< probability that a row skips the attention, and likewise the MLP; wants keys
};

/// Transformer block: attention of the tokens to each other, then an MLP, each with a norm and added to its input.
class TransformerBlock : public torch::nn::Module {
 public:
  explicit TransformerBlock(const BlockOptions& options);
  TransformerBlock(int64_t width, int64_t heads);
  /// x_BLC; mask as for Attention. Returns [B, L, C].
  at::Tensor forward(const at::Tensor& x_BLC, const at::Tensor& mask = {}, const DropoutKeys& keys = {}) const;

 private:
  NormPlace norms_;
  double drop_path_;
  std::shared_ptr<LayerNorm> attention_norm_, mlp_norm_;
  std::shared_ptr<Attention> attention_;
  std::shared_ptr<Mlp> mlp_;
};

struct QFormerLayerOptions {
  int64_t width = 0, heads = 1;
  int64_t memory_width = 0;  ///< 0: width
  bool looks = true;         ///< the queries attend to the memory; BLIP-2's do so in every second layer
  bool text_mlp = false;     ///< tokens behind the queries have an MLP and norm of their own, as in BLIP-2
  int64_t hidden = 0;        ///< 0: 4 width
  Activation activation = Activation::gelu;
  NormPlace norms = NormPlace::before;
  double norm_epsilon = 1e-6;
  double dropout = 0;  ///< as in BERT: of attention probabilities, and of what is added; wants keys
};

/// One Q-Former layer (BLIP-2; Li et al. 2023, section 3.1): the tokens attend to each other, the query tokens (the first
/// `queries` of them) attend to the memory, then an MLP.
class QFormerLayer : public torch::nn::Module {
 public:
  explicit QFormerLayer(const QFormerLayerOptions& options);
  /// tokens_BLC, of which the first `queries` look at memory_BSC; self_mask for [L, L], memory_mask for [queries, S], additive,
  /// or undefined. `queries_only` returns the queries' places alone and does not compute the others: for the last layer, where
  /// they are dropped.
  at::Tensor forward(const at::Tensor& tokens_BLC, int64_t queries, const at::Tensor& memory_BSC, const at::Tensor& self_mask,
                     const at::Tensor& memory_mask, bool queries_only = false, const DropoutKeys& keys = {}) const;

 private:
  at::Tensor attend(const at::Tensor& tokens_BLC, int64_t kept, const at::Tensor& mask, const DropoutKeys& keys) const;
  at::Tensor look(const at::Tensor& queries_BQC, const at::Tensor& memory_BSC, const at::Tensor& mask,
                  const DropoutKeys& keys) const;

  NormPlace norms_;
  std::shared_ptr<LayerNorm> self_norm_, memory_norm_, mlp_norm_, text_mlp_norm_;
  std::shared_ptr<Attention> self_attention_, memory_attention_;
  std::shared_ptr<Mlp> mlp_, text_mlp_;
};

}  // namespace microemo::nn
