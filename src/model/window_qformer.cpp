#include "microemo/model/window_qformer.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/upsample_nearest1d.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <fmt/ranges.h>

#include "microemo/base/error.h"
#include "microemo/nn/rotary.h"
#include "microemo/nn/sent.h"

namespace microemo::model {

WindowQFormer::WindowQFormer(const WindowQFormerOptions& o) : options_(o) {
  const int64_t width = o.layers.width, memory_width = o.layers.width_of_memory();
  queries_whole_ = register_parameter("queries_whole", at::empty({o.queries, width}));
  if (o.utterance_queries) queries_utterance_ = register_parameter("queries_utterance", at::empty({o.queries, width}));
  if (o.nothing_token) nothing_ = register_parameter("embedding_nothing", at::empty({1, memory_width}));
  if (o.positions > 0) position_ = register_parameter("position", at::empty({o.positions, memory_width}));
  layers_ = QFormerStack(*this, o.layers);
  if (o.whole_layers) whole_layers_ = QFormerStack(*this, o.layers, "whole_");
}

TimedTokens WindowQFormer::placed(const TimedTokens& memory) const {
  const at::Tensor& tokens_BTPM = memory.tokens_BTPM;
  const int64_t memory_width = options_.layers.width_of_memory();
  MICROEMO_CHECK(tokens_BTPM.dim() == 4 && tokens_BTPM.size(1) > 0 && tokens_BTPM.size(3) == memory_width,
                 "the window Q-Former's memory is [{}]; wanted: [B, T, P, {}]", fmt::join(tokens_BTPM.sizes(), ", "),
                 memory_width);
  const int64_t moments = tokens_BTPM.size(1);
  if (!position_.defined())
    return {tokens_BTPM + nn::time_features(nn::sent(memory.times_BT, tokens_BTPM.device()), memory_width).unsqueeze(2),
            memory.times_BT, memory.mask_BT};
  if (moments > position_.size(0))
    throw DataError("a clip of {} frames or pieces, and the model has {} positions for them", moments, position_.size(0))
        .hint("take fewer of them from a clip, or raise the positions of a model that is yet to be trained");
  return {tokens_BTPM + position_.slice(0, 0, moments).unsqueeze(1), memory.times_BT, memory.mask_BT};
}

/// Only moments that some window sees are brought together: windows that tile a clip cost no more than the clip. `clip_r` and
/// `visible_rT` lie on the CPU.
at::Tensor WindowQFormer::read(const QFormerStack& layers, const at::Tensor& queries_rQC, const TimedTokens& memory,
                               const at::Tensor& clip_r, const at::Tensor& visible_rT, const nn::DropoutKeys& keys) const {
  const int64_t rows = clip_r.size(0), moments = memory.tokens_BTPM.size(1), tokens = memory.tokens_BTPM.size(2);
  const at::Device device = memory.tokens_BTPM.device();
  const at::Tensor seen_r = visible_rT.sum(1);
  const int64_t most = seen_r.max().item<int64_t>();
  const at::Tensor order_rK = visible_rT.to(at::kByte).argsort(/*stable=*/true, 1, /*descending=*/true).slice(1, 0, most);
  const at::Tensor memory_rSM = memory.tokens_BTPM.flatten(0, 1)
                                    .index_select(0, nn::sent((order_rK + clip_r.unsqueeze(1) * moments).flatten(), device))
                                    .view({rows, most * tokens, -1});
  at::Tensor mask;
  if (seen_r.min().item<int64_t>() < most)
    mask = nn::additive_mask(nn::sent(visible_rT.gather(1, order_rK), device).repeat_interleave(tokens, 1))
               .unsqueeze(1)
               .unsqueeze(1);
  return layers.forward(queries_rQC, options_.queries, memory_rSM, {}, mask, /*queries_only=*/false, nullptr, keys);
}

TimedTokens WindowQFormer::with_nothing(const TimedTokens& memory, const std::vector<std::string>& ids) const {
  if (!nothing_.defined()) {
    require_moments(memory.mask_BT, ids);
    return memory;
  }
  const at::Tensor clip_is_empty_B1 = memory.mask_BT.any(1, true).logical_not();
  const at::Tensor numbers_T = at::arange(memory.mask_BT.size(1), memory.mask_BT.options().dtype(at::kLong));
  const at::Tensor filled_BT = clip_is_empty_B1.logical_and(numbers_T.eq(0));
  const at::Tensor filled_there_BT = nn::sent(filled_BT, nothing_.device());
  return {at::where(filled_there_BT.unsqueeze(2).unsqueeze(3), nothing_, memory.tokens_BTPM), memory.times_BT,
          memory.mask_BT.logical_or(filled_BT)};
}

at::Tensor WindowQFormer::forward(const TimedTokens& placed, const WindowSpans& windows, const std::vector<std::string>& ids,
                                  const nn::DropoutKeys& keys) const {
  const int64_t clips = windows.mask_BW.size(0), count = windows.mask_BW.size(1), width = options_.layers.width;
  const TimedTokens memory = with_nothing(placed, ids);
  const at::Tensor visible_nT = moments_of_windows(memory.times_BT, memory.mask_BT, windows.spans_BW2).flatten(0, 1);
  const at::Tensor real_n = windows.mask_BW.flatten(), numbers_n = at::arange(clips * count, real_n.options().dtype(at::kLong));
  const at::Tensor is_first_n = numbers_n.remainder(count).eq(0);
  at::Tensor all_nQC = at::zeros({clips * count, options_.queries, width}, queries_whole_.options());

  const nn::DropoutKeys keys_n = keys.parts(count);

  const auto add = [&](const QFormerStack& layers, const at::Tensor& chosen_n) {
    const at::Tensor row_r = chosen_n.nonzero().squeeze(1);
    if (row_r.size(0) == 0) return;
    const auto there = [&](const at::Tensor& t) { return nn::sent(t, all_nQC.device()); };
    at::Tensor queries_rQC = queries_whole_.expand({row_r.size(0), -1, -1});
    if (queries_utterance_.defined())
      queries_rQC = at::where(there(is_first_n.index_select(0, row_r)).view({-1, 1, 1}), queries_whole_, queries_utterance_);
    const at::Tensor tokens_rQC =
        read(layers, queries_rQC, memory, row_r.div(count, "floor"), visible_nT.index_select(0, row_r), keys_n.rows_at(row_r));
    all_nQC = all_nQC.to(tokens_rQC.scalar_type()).index_copy(0, there(row_r), tokens_rQC);
  };
  if (whole_layers_.empty()) {
    add(layers_, real_n);
  } else {
    add(whole_layers_, real_n.logical_and(is_first_n));
    add(layers_, real_n.logical_and(is_first_n.logical_not()));
  }
  return all_nQC.view({clips, count, options_.queries, width});
}

at::Tensor nearest_positions(const at::Tensor& position_FM, int64_t count) {
  return at::upsample_nearest1d(position_FM.t().unsqueeze(0).contiguous(), {count}).squeeze(0).t().contiguous();
}

}  // namespace microemo::model
