#include "microemo/nn/attention.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/zeros.h>

#include "microemo/base/error.h"

namespace microemo::nn {

at::Tensor additive_mask(const at::Tensor& visible) {
  return at::zeros(visible.sizes(), visible.options().dtype(at::kFloat)).masked_fill_(visible.logical_not(), -1e9);
}

Attention::Attention(int64_t width, int64_t memory_width, int64_t heads, bool zero_output) : heads_(heads) {
  if (width % heads != 0)
    throw ConfigError("{} channels cannot be shared by {} attention heads", width, heads)
        .hint("choose heads that divide the width");
  query_ = register_module("query", std::make_shared<Linear>(width, width));
  key_ = register_module("key", std::make_shared<Linear>(memory_width, width));
  value_ = register_module("value", std::make_shared<Linear>(memory_width, width));
  output_ = register_module(zero_output ? "zero_output" : "output", std::make_shared<Linear>(width, width));
}

at::Tensor Attention::forward(const at::Tensor& x_BLC, const at::Tensor& memory_BSC, const at::Tensor& mask) const {
  const auto split = [this](const at::Tensor& t) { return t.unflatten(-1, {heads_, -1}).transpose(1, 2); };  // [B, H, L, E]
  const at::Tensor mixed_BHLE = at::scaled_dot_product_attention(split(query_->forward(x_BLC)), split(key_->forward(memory_BSC)),
                                                                 split(value_->forward(memory_BSC)),
                                                                 mask.defined() ? std::optional<at::Tensor>(mask) : std::nullopt);
  return output_->forward(mixed_BHLE.transpose(1, 2).flatten(2));
}

Mlp::Mlp(int64_t width, int64_t hidden) {
  up_ = register_module("up", std::make_shared<Linear>(width, hidden));
  down_ = register_module("down", std::make_shared<Linear>(hidden, width));
}

at::Tensor Mlp::forward(const at::Tensor& x) const { return down_->forward(at::gelu(up_->forward(x))); }

TransformerBlock::TransformerBlock(int64_t width, int64_t heads) {
  attention_norm_ = register_module("attention_norm", std::make_shared<LayerNorm>(width));
  attention_ = register_module("attention", std::make_shared<Attention>(width, width, heads));
  mlp_norm_ = register_module("mlp_norm", std::make_shared<LayerNorm>(width));
  mlp_ = register_module("mlp", std::make_shared<Mlp>(width, 4 * width));
}

at::Tensor TransformerBlock::forward(const at::Tensor& x_BLC, const at::Tensor& mask) const {
  const at::Tensor normed_BLC = attention_norm_->forward(x_BLC);
  const at::Tensor attended_BLC = x_BLC + attention_->forward(normed_BLC, normed_BLC, mask);
  return attended_BLC + mlp_->forward(mlp_norm_->forward(attended_BLC));
}

QFormerLayer::QFormerLayer(int64_t width, int64_t memory_width, int64_t heads) {
  self_norm_ = register_module("self_norm", std::make_shared<LayerNorm>(width));
  self_attention_ = register_module("self_attention", std::make_shared<Attention>(width, width, heads));
  memory_norm_ = register_module("memory_norm", std::make_shared<LayerNorm>(width));
  memory_attention_ = register_module("memory_attention", std::make_shared<Attention>(width, memory_width, heads));
  mlp_norm_ = register_module("mlp_norm", std::make_shared<LayerNorm>(width));
  mlp_ = register_module("mlp", std::make_shared<Mlp>(width, 4 * width));
}

at::Tensor QFormerLayer::forward(const at::Tensor& tokens_BLC, int64_t queries, const at::Tensor& memory_BSC,
                                 const at::Tensor& self_mask, const at::Tensor& memory_mask, bool queries_only) const {
  const int64_t kept = queries_only ? queries : tokens_BLC.size(1);
  const at::Tensor normed_BLC = self_norm_->forward(tokens_BLC);
  at::Tensor x_BLC = tokens_BLC.slice(1, 0, kept) + self_attention_->forward(normed_BLC.slice(1, 0, kept), normed_BLC, self_mask);
  const at::Tensor queries_BQC = x_BLC.slice(1, 0, queries);
  const at::Tensor looked_BQC =
      queries_BQC + memory_attention_->forward(memory_norm_->forward(queries_BQC), memory_BSC, memory_mask);
  x_BLC = queries == x_BLC.size(1) ? looked_BQC : at::cat({looked_BQC, x_BLC.slice(1, queries)}, 1);
  return x_BLC + mlp_->forward(mlp_norm_->forward(x_BLC));
}

}  // namespace microemo::nn
