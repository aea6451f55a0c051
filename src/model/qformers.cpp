#include "microemo/model/qformers.h"

#include <limits>

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/where.h>

namespace microemo::model {

ImageQFormer::ImageQFormer(const ImageQFormerOptions& options, int64_t width, int64_t vocabulary) : options_(options) {
  queries_ = register_parameter("queries", at::empty({options.queries, width}));
  if (options.timestamp_text) tokens_ = register_module("tokens", std::make_shared<nn::Embedding>(vocabulary, width));
  for (int64_t i = 0; i < options.layers; ++i)
    layers_.push_back(register_module("layer" + std::to_string(i), std::make_shared<nn::QFormerLayer>(nn::QFormerLayerOptions{
                                                                       .width = width, .heads = options.heads})));
  norm_ = register_module("norm", std::make_shared<nn::LayerNorm>(width));
}

at::Tensor ImageQFormer::forward(const at::Tensor& patches_nPC, const at::Tensor& text_nL) const {
  const int64_t n = patches_nPC.size(0), queries = options_.queries;
  at::Tensor tokens_nLC = queries_.expand({n, -1, -1}), mask;
  if (tokens_) {
    tokens_nLC = at::cat({tokens_nLC, tokens_->forward(text_nL.clamp_min(0))}, 1);
    const at::Tensor visible_nL = at::cat({at::ones({n, queries}, text_nL.options().dtype(at::kBool)), text_nL.ge(0)}, 1);
    mask = nn::additive_mask(visible_nL).view({n, 1, 1, -1});
  }
  for (const auto& layer : layers_)
    tokens_nLC = layer->forward(tokens_nLC, queries, patches_nPC, mask, {}, /*queries_only=*/layer == layers_.back());
  return norm_->forward(tokens_nLC);
}

WindowQFormer::WindowQFormer(const Shape& shape) : shape_(shape) {
  queries_whole_ = register_parameter("queries_whole", at::empty({shape.queries, shape.width}));
  if (shape.windows == Windows::utterance)
    queries_utterance_ = register_parameter("queries_utterance", at::empty({shape.queries, shape.width}));
  nothing_ = register_parameter("embedding_nothing", at::empty({1, shape.width}));
  for (int64_t i = 0; i < shape.layers; ++i)
    layers_.push_back(register_module("layer" + std::to_string(i), std::make_shared<nn::QFormerLayer>(nn::QFormerLayerOptions{
                                                                       .width = shape.width, .heads = shape.heads})));
  norm_ = register_module("norm", std::make_shared<nn::LayerNorm>(shape.width));
}

at::Tensor tokens_of_windows(const at::Tensor& times_BS, const at::Tensor& mask_BS, const at::Tensor& windows_BW2) {
  const at::Tensor times_B1S = times_BS.unsqueeze(1), start_BW1 = windows_BW2.slice(2, 0, 1),
                   end_BW1 = windows_BW2.slice(2, 1, 2);
  const at::Tensor inside_BWS = times_B1S.ge(start_BW1).logical_and_(times_B1S.lt(end_BW1)).logical_and_(mask_BS.unsqueeze(1));
  const at::Tensor distance_BWS = (times_B1S - (start_BW1 + end_BW1) / 2)
                                      .abs()
                                      .masked_fill(mask_BS.logical_not().unsqueeze(1), std::numeric_limits<float>::infinity());
  const at::Tensor positions_S = at::arange(times_BS.size(1), times_BS.options().dtype(at::kLong));
  const at::Tensor nearest_BWS = positions_S.eq(distance_BWS.argmin(2, true));
  return at::where(inside_BWS.any(2, true), inside_BWS, nearest_BWS);
}

at::Tensor mean_of_windows(const at::Tensor& memory_BSC, const at::Tensor& times_BS, const at::Tensor& mask_BS,
                           const at::Tensor& windows_BW2) {
  const at::Tensor seen_BWS = tokens_of_windows(times_BS, mask_BS, windows_BW2).to(memory_BSC.scalar_type());
  return at::matmul(seen_BWS, memory_BSC) / seen_BWS.sum(2, true).clamp_min(1);
}

at::Tensor WindowQFormer::forward(const at::Tensor& memory_BSC, const at::Tensor& times_BS, const at::Tensor& mask_BS,
                                  const at::Tensor& windows_BW2, const at::Tensor& window_mask_BW) const {
  const int64_t clips = memory_BSC.size(0), windows = queries_utterance_.defined() ? windows_BW2.size(1) : 1;
  // A clip without any memory token (no sound, no picture) gets the learned one in place 0.
  const at::Tensor empty_BS =
      mask_BS.any(1, true).logical_not().logical_and(at::arange(mask_BS.size(1), mask_BS.options().dtype(at::kLong)).eq(0));
  const at::Tensor filled_BSC = at::where(empty_BS.unsqueeze(2), nothing_, memory_BSC);
  const at::Tensor visible_BWS = tokens_of_windows(times_BS, mask_BS.logical_or(empty_BS), windows_BW2.slice(1, 0, windows));

  const at::Tensor rows = window_mask_BW.slice(1, 0, windows).flatten().nonzero().squeeze(1);  // windows that are no padding
  const at::Tensor clip_of_row = rows.div(windows, "floor");
  const at::Tensor memory_rSC = filled_BSC.index_select(0, clip_of_row);
  const at::Tensor mask_r11S = nn::additive_mask(visible_BWS.flatten(0, 1).index_select(0, rows)).unsqueeze(1).unsqueeze(1);
  at::Tensor tokens_rQC = queries_whole_.expand({rows.size(0), -1, -1});
  if (windows > 1) tokens_rQC = at::where(rows.remainder(windows).eq(0).view({-1, 1, 1}), queries_whole_, queries_utterance_);
  for (const auto& layer : layers_) tokens_rQC = layer->forward(tokens_rQC, shape_.queries, memory_rSC, {}, mask_r11S);

  const at::Tensor all_RQC = at::zeros({clips * windows, shape_.queries, shape_.width}, tokens_rQC.options());
  return all_RQC.index_copy(0, rows, norm_->forward(tokens_rQC)).view({clips, windows, shape_.queries, shape_.width});
}

}  // namespace microemo::model
