#include "microemo/nn/attention.h"

#include <cmath>

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros.h>

#include "microemo/base/error.h"

namespace microemo::nn {
namespace {

int64_t hidden_or(int64_t hidden, int64_t width) { return hidden > 0 ? hidden : 4 * width; }

/// Adds a branch to what it is made of: add_to(x, x or norm(x)).
template <class AddTo>
at::Tensor add_branch(NormPlace place, const LayerNorm& norm, const at::Tensor& x, AddTo add_to) {
  return place == NormPlace::before ? add_to(x, norm.forward(x)) : norm.forward(add_to(x, x));
}

at::Tensor add_mlp(NormPlace place, const LayerNorm& norm, const Mlp& mlp, const at::Tensor& x, const DropoutKeys& keys) {
  return add_branch(place, norm, x, [&](const at::Tensor& sum, const at::Tensor& t) { return mlp.add_to(sum, t, keys); });
}

/// softmax(q k^T / sqrt(E) + mask), some of it dropped, times v. Written out, as the fused form draws its own masks.
at::Tensor attention_with_dropout(const at::Tensor& q_BHLE, const at::Tensor& k_BHSE, const at::Tensor& v_BHSE,
                                  const at::Tensor& mask, double probability, const DropoutKeys& keys) {
  at::Tensor scores_BHLS = at::matmul(q_BHLE / std::sqrt(double(q_BHLE.size(3))), k_BHSE.transpose(2, 3));
  if (mask.defined()) scores_BHLS = scores_BHLS + mask;
  return at::matmul(dropout(at::softmax(scores_BHLS, 3), probability, keys), v_BHSE);
}

enum Place : uint64_t { probabilities, output, self_attention, memory_attention, mlp_branch, text_mlp_branch };

}  // namespace

at::Tensor additive_mask(const at::Tensor& visible) {
  return at::zeros(visible.sizes(), visible.options().dtype(at::kFloat)).masked_fill_(visible.logical_not(), -1e9);
}

at::Tensor activate(Activation activation, const at::Tensor& x) {
  if (activation == Activation::quick_gelu) return x * at::sigmoid(1.702 * x);
  return at::gelu(x, activation == Activation::gelu_new ? "tanh" : "none");
}

Attention::Attention(const AttentionOptions& o) : heads_(o.heads), dropout_(o.dropout) {
  if (o.width % o.heads != 0)
    throw ConfigError("{} channels cannot be shared by {} attention heads", o.width, o.heads)
        .hint("choose heads that divide the width");
  const int64_t memory_width = o.memory_width > 0 ? o.memory_width : o.width;
  query_ = register_module("query", std::make_shared<Linear>(o.width, o.width, o.query_bias));
  key_ = register_module("key", std::make_shared<Linear>(memory_width, o.width, o.key_bias));
  value_ = register_module("value", std::make_shared<Linear>(memory_width, o.width, o.value_bias));
  output_ = register_module(o.zero_output ? "zero_output" : "output", std::make_shared<Linear>(o.width, o.width, o.output_bias));
  if (!o.extra_key_value) return;
  extra_key_ = register_parameter("extra_key", at::empty({o.width}));
  extra_value_ = register_parameter("extra_value", at::empty({o.width}));
}

at::Tensor Attention::with_extra(const at::Tensor& t_BSC, const at::Tensor& extra_C) const {
  return extra_C.defined() ? at::cat({t_BSC, extra_C.expand({t_BSC.size(0), 1, -1})}, 1) : t_BSC;
}

at::Tensor Attention::mixed(const at::Tensor& x_BLC, const at::Tensor& memory_BSC, const at::Tensor& mask,
                            const DropoutKeys& keys) const {
  MICROEMO_CHECK(!mask.defined() || !extra_key_.defined(), "attention with an extra key takes no mask");
  const auto split = [this](const at::Tensor& t) { return t.unflatten(-1, {heads_, -1}).transpose(1, 2); };  // [B, H, L, E]
  const at::Tensor key_BSC = with_extra(key_->forward(memory_BSC), extra_key_);
  const at::Tensor value_BSC = with_extra(value_->forward(memory_BSC), extra_value_);
  const at::Tensor q_BHLE = split(query_->forward(x_BLC)), k_BHSE = split(key_BSC), v_BHSE = split(value_BSC);
  const at::Tensor mixed_BHLE =
      dropout_ > 0 && !keys.none() ? attention_with_dropout(q_BHLE, k_BHSE, v_BHSE, mask, dropout_, keys.at(Place::probabilities))
                                   : at::scaled_dot_product_attention(
                                         q_BHLE, k_BHSE, v_BHSE, mask.defined() ? std::optional<at::Tensor>(mask) : std::nullopt);
  return mixed_BHLE.transpose(1, 2).flatten(2);
}

at::Tensor Attention::forward(const at::Tensor& x_BLC, const at::Tensor& memory_BSC, const at::Tensor& mask) const {
  return output_->forward(mixed(x_BLC, memory_BSC, mask, {}));
}

at::Tensor Attention::add_to(const at::Tensor& sum_BLC, const at::Tensor& x_BLC, const at::Tensor& memory_BSC,
                             const at::Tensor& mask, const DropoutKeys& keys) const {
  const at::Tensor mixed_BLC = mixed(x_BLC, memory_BSC, mask, keys);
  if (dropout_ > 0 && !keys.none()) return sum_BLC + dropout(output_->forward(mixed_BLC), dropout_, keys.at(Place::output));
  return output_->add_to(sum_BLC, mixed_BLC);
}

Mlp::Mlp(const MlpOptions& o) : activation_(o.activation), dropout_(o.dropout) {
  const int64_t hidden = hidden_or(o.hidden, o.width);
  up_ = register_module("up", std::make_shared<Linear>(o.width, hidden));
  down_ = register_module("down", std::make_shared<Linear>(hidden, o.width));
}

at::Tensor Mlp::forward(const at::Tensor& x) const { return down_->forward(activate(activation_, up_->forward(x))); }

at::Tensor Mlp::add_to(const at::Tensor& sum, const at::Tensor& x, const DropoutKeys& keys) const {
  if (dropout_ > 0 && !keys.none()) return sum + dropout(forward(x), dropout_, keys);
  return down_->add_to(sum, activate(activation_, up_->forward(x)));
}

TransformerBlock::TransformerBlock(const BlockOptions& o) : norms_(o.norms), drop_path_(o.drop_path) {
  const int64_t width = o.attention.width;
  attention_norm_ = register_module("attention_norm", std::make_shared<LayerNorm>(width, o.norm_epsilon));
  attention_ = register_module("attention", std::make_shared<Attention>(o.attention));
  mlp_norm_ = register_module("mlp_norm", std::make_shared<LayerNorm>(width, o.norm_epsilon));
  mlp_ =
      register_module("mlp", std::make_shared<Mlp>(MlpOptions{.width = width, .hidden = o.hidden, .activation = o.activation}));
}

TransformerBlock::TransformerBlock(int64_t width, int64_t heads)
    : TransformerBlock(BlockOptions{.attention = {.width = width, .heads = heads}}) {}

at::Tensor TransformerBlock::forward(const at::Tensor& x_BLC, const at::Tensor& mask, const DropoutKeys& keys) const {
  const bool drops = drop_path_ > 0 && !keys.none();
  const at::Tensor attended_BLC = add_branch(norms_, *attention_norm_, x_BLC, [&](const at::Tensor& sum, const at::Tensor& t) {
    if (!drops) return attention_->add_to(sum, t, t, mask);
    return sum + drop_rows(attention_->forward(t, t, mask), drop_path_, keys.at(Place::self_attention));
  });
  return add_branch(norms_, *mlp_norm_, attended_BLC, [&](const at::Tensor& sum, const at::Tensor& t) {
    if (!drops) return mlp_->add_to(sum, t);
    return sum + drop_rows(mlp_->forward(t), drop_path_, keys.at(Place::mlp_branch));
  });
}

QFormerLayer::QFormerLayer(const QFormerLayerOptions& o) : norms_(o.norms) {
  const auto norm = [&](const char* name) { return register_module(name, std::make_shared<LayerNorm>(o.width, o.norm_epsilon)); };
  const auto mlp = [&](const char* name) {
    return register_module(name, std::make_shared<Mlp>(MlpOptions{o.width, o.hidden, o.activation, o.dropout}));
  };
  self_norm_ = norm("self_norm");
  self_attention_ = register_module(
      "self_attention", std::make_shared<Attention>(AttentionOptions{.width = o.width, .heads = o.heads, .dropout = o.dropout}));
  if (o.looks) {
    memory_norm_ = norm("memory_norm");
    memory_attention_ = register_module(
        "memory_attention", std::make_shared<Attention>(AttentionOptions{
                                .width = o.width, .heads = o.heads, .memory_width = o.memory_width, .dropout = o.dropout}));
  }
  mlp_norm_ = norm("mlp_norm");
  mlp_ = mlp("mlp");
  if (!o.text_mlp) return;
  text_mlp_norm_ = norm("text_mlp_norm");
  text_mlp_ = mlp("text_mlp");
}

at::Tensor QFormerLayer::attend(const at::Tensor& tokens_BLC, int64_t kept, const at::Tensor& mask,
                                const DropoutKeys& keys) const {
  const bool before = norms_ == NormPlace::before;
  const at::Tensor source_BLC = before ? self_norm_->forward(tokens_BLC) : tokens_BLC;
  const at::Tensor sum_BLC =
      self_attention_->add_to(tokens_BLC.slice(1, 0, kept), source_BLC.slice(1, 0, kept), source_BLC, mask, keys);
  return before ? sum_BLC : self_norm_->forward(sum_BLC);
}

at::Tensor QFormerLayer::look(const at::Tensor& queries_BQC, const at::Tensor& memory_BSC, const at::Tensor& mask,
                              const DropoutKeys& keys) const {
  if (!memory_attention_) return queries_BQC;
  return add_branch(norms_, *memory_norm_, queries_BQC, [&](const at::Tensor& sum, const at::Tensor& t) {
    return memory_attention_->add_to(sum, t, memory_BSC, mask, keys);
  });
}

at::Tensor QFormerLayer::forward(const at::Tensor& tokens_BLC, int64_t queries, const at::Tensor& memory_BSC,
                                 const at::Tensor& self_mask, const at::Tensor& memory_mask, bool queries_only,
                                 const DropoutKeys& keys) const {
  const at::Tensor x_BLC =
      attend(tokens_BLC, queries_only ? queries : tokens_BLC.size(1), self_mask, keys.at(Place::self_attention));
  const at::Tensor looked_BQC = look(x_BLC.slice(1, 0, queries), memory_BSC, memory_mask, keys.at(Place::memory_attention));
  const DropoutKeys mlp_keys = keys.at(Place::mlp_branch);
  if (queries == x_BLC.size(1)) return add_mlp(norms_, *mlp_norm_, *mlp_, looked_BQC, mlp_keys);
  const at::Tensor text_BLC = x_BLC.slice(1, queries);
  if (!text_mlp_) return add_mlp(norms_, *mlp_norm_, *mlp_, at::cat({looked_BQC, text_BLC}, 1), mlp_keys);
  return at::cat({add_mlp(norms_, *mlp_norm_, *mlp_, looked_BQC, mlp_keys),
                  add_mlp(norms_, *text_mlp_norm_, *text_mlp_, text_BLC, keys.at(Place::text_mlp_branch))},
                 1);
}

}  // namespace microemo::nn
