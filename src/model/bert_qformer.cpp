#include "microemo/model/bert_qformer.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/upsample_nearest1d.h>
#include <fmt/ranges.h>

#include "microemo/base/error.h"

namespace microemo::model {
namespace {

nn::QFormerLayerOptions layer_options(const BertLayersOptions& o, int64_t layer) {
  return {.width = o.width,
          .heads = o.heads,
          .memory_width = o.memory_width,
          .looks = layer % o.look_every == 0,
          .text_mlp = o.text_mlp,
          .hidden = o.hidden,
          .norms = nn::NormPlace::after,
          .norm_epsilon = o.norm_epsilon};
}

BertLayersOptions layers_of(const BertQFormerOptions& o) {
  BertLayersOptions layers = o.layers;
  layers.text_mlp = o.vocabulary > 0;
  return layers;
}

}  // namespace

BertLayers::BertLayers(torch::nn::Module& owner, const BertLayersOptions& o) {
  input_norm_ = owner.register_module("input_norm", std::make_shared<nn::LayerNorm>(o.width, o.norm_epsilon));
  for (int64_t i = 0; i < o.layers; ++i)
    layers_.push_back(
        owner.register_module("layer" + std::to_string(i), std::make_shared<nn::QFormerLayer>(layer_options(o, i))));
}

at::Tensor BertLayers::forward(const at::Tensor& tokens_nLC, int64_t queries, const at::Tensor& memory_nSM,
                               const at::Tensor& self_mask, bool queries_only, std::vector<at::Tensor>* states) const {
  at::Tensor x_nLC = input_norm_->forward(tokens_nLC);
  for (const auto& layer : layers_) {
    if (states) states->push_back(x_nLC);
    x_nLC = layer->forward(x_nLC, queries, memory_nSM, self_mask, {}, queries_only && layer == layers_.back());
  }
  if (states) states->push_back(x_nLC);
  return x_nLC;
}

BertQFormer::BertQFormer(const BertQFormerOptions& o) : options_(o), layers_(*this, layers_of(o)) {
  queries_ = register_parameter("queries", at::empty({o.queries, o.layers.width}));
  if (o.vocabulary == 0) return;
  // Row 0 is [PAD] of BERT's vocabulary, and <unk> of LLaMA's, which TimeChat pads with: it learns nothing.
  tokens_ = register_module("tokens", std::make_shared<nn::Embedding>(o.vocabulary, o.layers.width, /*padding=*/0));
  position_text_ = register_parameter("position_text", at::empty({o.max_text, o.layers.width}));
}

void BertQFormer::check(const at::Tensor& memory_nSM, const at::Tensor& text_nL) const {
  MICROEMO_CHECK(memory_nSM.dim() == 3 && memory_nSM.size(2) == options_.layers.memory_width,
                 "the Q-Former's memory is [{}]; wanted: [n, S, {}]", fmt::join(memory_nSM.sizes(), ", "),
                 options_.layers.memory_width);
  if (!text_nL.defined()) return;
  MICROEMO_CHECK(tokens_ != nullptr, "this Q-Former reads no text");
  MICROEMO_CHECK(text_nL.dim() == 2 && text_nL.size(0) == memory_nSM.size(0) && text_nL.size(1) <= options_.max_text,
                 "the Q-Former's text is [{}]; wanted: [{}, up to {}]", fmt::join(text_nL.sizes(), ", "), memory_nSM.size(0),
                 options_.max_text);
  MICROEMO_CHECK(text_nL.numel() == 0 || text_nL.max().item<int64_t>() < options_.vocabulary,
                 "the Q-Former's text has the id {}, and its table {} rows", text_nL.max().item<int64_t>(), options_.vocabulary);
}

at::Tensor BertQFormer::embed(const at::Tensor& text_nL) const {
  return tokens_->forward(text_nL.clamp_min(0)) + position_text_.slice(0, 0, text_nL.size(1));
}

at::Tensor BertQFormer::forward(const at::Tensor& memory_nSM, const at::Tensor& text_nL, std::vector<at::Tensor>* states) const {
  check(memory_nSM, text_nL);
  const int64_t n = memory_nSM.size(0);
  at::Tensor tokens_nLC = queries_.expand({n, -1, -1}), mask;
  if (text_nL.defined()) {
    tokens_nLC = at::cat({tokens_nLC, embed(text_nL)}, 1);
    const at::Tensor queries_seen = at::ones({n, options_.queries}, text_nL.options().dtype(at::kBool));
    mask = nn::additive_mask(at::cat({queries_seen, text_nL.ge(0)}, 1)).view({n, 1, 1, -1});
  }
  return layers_.forward(tokens_nLC, options_.queries, memory_nSM, mask, /*queries_only=*/!options_.keep_text, states);
}

VideoQFormer::VideoQFormer(const VideoQFormerOptions& o) : options_(o), layers_(*this, o.layers) {
  if (o.window > 0 && o.stride < 1)
    throw ConfigError("windows of {} frames cannot be {} frames apart", o.window, o.stride).hint("choose a stride of 1 or more");
  queries_ = register_parameter("queries_whole", at::empty({o.queries, o.layers.width}));
  position_ = register_parameter("position", at::empty({o.positions, o.layers.memory_width}));
}

at::Tensor VideoQFormer::read(const at::Tensor& frames_BTPM) const {
  return layers_.forward(queries_.expand({frames_BTPM.size(0), -1, -1}), options_.queries, frames_BTPM.flatten(1, 2), {},
                         /*queries_only=*/true, nullptr);
}

at::Tensor VideoQFormer::forward(const at::Tensor& frames_BTPM) const {
  MICROEMO_CHECK(frames_BTPM.dim() == 4 && frames_BTPM.size(1) > 0 && frames_BTPM.size(3) == position_.size(1),
                 "the video Q-Former's frames are [{}]; wanted: [B, T, P, {}]", fmt::join(frames_BTPM.sizes(), ", "),
                 position_.size(1));
  const int64_t frames = frames_BTPM.size(1);
  MICROEMO_CHECK(frames <= position_.size(0), "a clip of {} frames, and the video Q-Former has {} positions", frames,
                 position_.size(0));
  const at::Tensor placed_BTPM = frames_BTPM + position_.slice(0, 0, frames).unsqueeze(1);
  if (options_.window == 0) return read(placed_BTPM);
  std::vector<at::Tensor> windows;
  for (int64_t first = 0; first < frames; first += options_.stride)
    windows.push_back(read(placed_BTPM.slice(1, first, first + options_.window)));
  return at::cat(windows, 1);
}

at::Tensor nearest_positions(const at::Tensor& position_FM, int64_t count) {
  return at::upsample_nearest1d(position_FM.t().unsqueeze(0).contiguous(), {count}).squeeze(0).t().contiguous();
}

}  // namespace microemo::model
