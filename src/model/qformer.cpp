#include "microemo/model/qformer.h"

#include <ATen/ops/alias.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>
#include <fmt/ranges.h>

#include "microemo/base/error.h"
#include "microemo/nn/recompute.h"

namespace microemo::model {
namespace {

nn::QFormerLayerOptions layer_options(const QFormerLayers& o, int64_t layer) {
  return {.width = o.width,
          .heads = o.heads,
          .memory_width = o.memory_width,
          .looks = layer % o.look_every == 0,
          .text_mlp = o.text_mlp,
          .hidden = o.hidden,
          .norms = o.norms,
          .norm_epsilon = o.norm_epsilon,
          .dropout = o.dropout};
}

QFormerLayers with_text(const QFormerOptions& o) {
  QFormerLayers layers = o.layers;
  layers.text_mlp = o.text_layers && o.vocabulary > 0;
  return layers;
}

}  // namespace

QFormerLayers bert_layers() {
  QFormerLayers layers = layers_of_style(QFormerStyle::bert);
  layers.layers = layers.heads = 12;
  layers.width = 768;
  layers.hidden = 3072;
  layers.memory_width = 1408;
  layers.look_every = 2;
  return layers;
}

QFormerLayers layers_of_style(QFormerStyle style) {
  QFormerLayers layers;
  if (style == QFormerStyle::plain) return layers;
  layers.norms = nn::NormPlace::after;
  layers.norm_epsilon = 1e-12;
  return layers;
}

QFormerStack::QFormerStack(torch::nn::Module& owner, const QFormerLayers& o, const std::string& prefix)
    : dropout_(o.dropout), look_every_(o.look_every) {
  const auto add_norm = [&](const char* name) {
    return owner.register_module(prefix + name, std::make_shared<nn::LayerNorm>(o.width, o.norm_epsilon));
  };
  const bool before = o.norms == nn::NormPlace::before;
  if (!before) input_norm_ = add_norm("input_norm");
  for (int64_t i = 0; i < o.layers; ++i)
    layers_.push_back(
        owner.register_module(prefix + "layer" + std::to_string(i), std::make_shared<nn::QFormerLayer>(layer_options(o, i))));
  if (before) norm_ = add_norm("norm");
}

/// The gradient of what several layers look at is added up in each layer first, whether it is computed again or not.
at::Tensor QFormerStack::memory_of(size_t layer, const at::Tensor& memory_nSM) const {
  const bool several = layers() > look_every_, looks = int64_t(layer) % look_every_ == 0;
  return several && looks && memory_nSM.requires_grad() ? at::alias(memory_nSM) : memory_nSM;
}

at::Tensor QFormerStack::forward(const at::Tensor& tokens_nLC, int64_t queries, const at::Tensor& memory_nSM,
                                 const at::Tensor& self_mask, const at::Tensor& memory_mask, bool queries_only,
                                 std::vector<at::Tensor>* states, const nn::DropoutKeys& keys) const {
  at::Tensor x_nLC = input_norm_ ? input_norm_->forward(tokens_nLC) : tokens_nLC;
  x_nLC = nn::dropout(x_nLC, dropout_, keys);
  for (size_t i = 0; i < layers_.size(); ++i) {
    if (states) states->push_back(x_nLC);
    const bool is_last = i + 1 == layers_.size();
    const at::Tensor seen_nSM = memory_of(i, memory_nSM);
    const auto layer = [layer = layers_[i], queries, seen_nSM, self_mask, memory_mask, only = queries_only && is_last,
                        keys = keys.at(i)](const at::Tensor& x) {
      return layer->forward(x, queries, seen_nSM, self_mask, memory_mask, only, keys);
    };
    if (i >= recomputed_.size() || !recomputed_[i]) {
      x_nLC = layer(x_nLC);
      continue;
    }
    std::vector<at::Tensor> others = layers_[i]->parameters();
    others.push_back(seen_nSM);
    x_nLC = nn::recomputed(layer, x_nLC, others);
  }
  if (norm_) x_nLC = norm_->forward(x_nLC);
  if (states) states->push_back(x_nLC);
  return x_nLC;
}

QFormer::QFormer(const QFormerOptions& o) : options_(o) {
  queries_ = register_parameter("queries", at::empty({o.queries, o.layers.width}));
  if (o.vocabulary > 0) {
    // Row 0 is [PAD] of BERT's vocabulary, and <unk> of LLaMA's, which TimeChat pads with.
    tokens_ =
        register_module("tokens", o.text_layers ? std::make_shared<nn::Embedding>(o.vocabulary, o.layers.width, /*padding=*/0)
                                                : std::make_shared<nn::Embedding>(o.vocabulary, o.layers.width));
    if (o.text_layers) position_text_ = register_parameter("position_text", at::empty({o.max_text, o.layers.width}));
  }
  layers_ = QFormerStack(*this, with_text(o));
}

void QFormer::check(const at::Tensor& memory_nSM, const at::Tensor& text_nL) const {
  MICROEMO_CHECK(memory_nSM.dim() == 3 && memory_nSM.size(2) == options_.layers.width_of_memory(),
                 "the Q-Former's memory is [{}]; wanted: [n, S, {}]", fmt::join(memory_nSM.sizes(), ", "),
                 options_.layers.width_of_memory());
  if (!text_nL.defined()) return;
  MICROEMO_CHECK(tokens_ != nullptr, "this Q-Former reads no text");
  const int64_t longest = position_text_.defined() ? options_.max_text : text_nL.size(-1);
  MICROEMO_CHECK(text_nL.dim() == 2 && text_nL.size(0) == memory_nSM.size(0) && text_nL.size(1) <= longest,
                 "the Q-Former's text is [{}]; wanted: [{}, up to {}]", fmt::join(text_nL.sizes(), ", "), memory_nSM.size(0),
                 longest);
  MICROEMO_CHECK(text_nL.numel() == 0 || text_nL.max().item<int64_t>() < options_.vocabulary,
                 "the Q-Former's text has the id {}, and its table {} rows", text_nL.max().item<int64_t>(), options_.vocabulary);
}

at::Tensor QFormer::embed(const at::Tensor& text_nL) const {
  const at::Tensor tokens_nLC = tokens_->forward(text_nL.clamp_min(0));
  return position_text_.defined() ? tokens_nLC + position_text_.slice(0, 0, text_nL.size(1)) : tokens_nLC;
}

at::Tensor QFormer::forward(const at::Tensor& memory_nSM, const at::Tensor& text_nL, std::vector<at::Tensor>* states,
                            const nn::DropoutKeys& keys) const {
  check(memory_nSM, text_nL);
  const int64_t n = memory_nSM.size(0);
  at::Tensor tokens_nLC = queries_.expand({n, -1, -1}), mask;
  if (text_nL.defined()) {
    const at::Tensor ids_nL = text_nL.to(memory_nSM.device(), at::kLong, /*non_blocking=*/true);
    tokens_nLC = at::cat({tokens_nLC, embed(ids_nL)}, 1);
    const at::Tensor queries_seen = at::ones({n, options_.queries}, ids_nL.options().dtype(at::kBool));
    mask = nn::additive_mask(at::cat({queries_seen, ids_nL.ge(0)}, 1)).view({n, 1, 1, -1});
  }
  return layers_.forward(tokens_nLC, options_.queries, memory_nSM, mask, {}, /*queries_only=*/!options_.keep_text, states, keys);
}

}  // namespace microemo::model
