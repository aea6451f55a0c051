#include "microemo/model/windows.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include "microemo/base/error.h"
#include "microemo/nn/sent.h"

namespace microemo::model {
namespace {

constexpr float without_end = std::numeric_limits<float>::infinity();

using Spans = std::vector<std::pair<float, float>>;

Spans sliding_spans(const std::vector<float>& times, const WindowOptions& options) {
  Spans spans;
  const auto count = int64_t(times.size());
  for (int64_t first = 0; first < std::max<int64_t>(count, 1); first += options.stride) {
    const int64_t end = first + options.window_length;
    spans.emplace_back(first < count ? times[size_t(first)] : 0, end < count ? times[size_t(end)] : without_end);
  }
  return spans;
}

Spans fixed_spans(const std::vector<float>& times, const WindowOptions& options) {
  const double last = times.empty() ? 0 : double(times.back());
  const auto count = int64_t(std::floor(last / options.window_s)) + 1;
  Spans spans;
  for (int64_t i = 0; i < count; ++i)
    spans.emplace_back(float(double(i) * options.window_s), float(double(i + 1) * options.window_s));
  return spans;
}

std::vector<float> times_of(const at::Tensor& times_T, const at::Tensor& mask_T) {
  const at::Tensor times = times_T.masked_select(mask_T);
  return {times.const_data_ptr<float>(), times.const_data_ptr<float>() + times.numel()};
}

/// Spans of every clip as one padded tensor.
WindowSpans padded(const std::vector<Spans>& clips) {
  size_t most = 1;
  for (const Spans& spans : clips) most = std::max(most, spans.size());
  WindowSpans result{at::zeros({int64_t(clips.size()), int64_t(most), 2}),
                     at::zeros({int64_t(clips.size()), int64_t(most)}, at::kBool)};
  auto* span = result.spans_BW2.mutable_data_ptr<float>();
  bool* real = result.mask_BW.mutable_data_ptr<bool>();
  for (size_t b = 0; b < clips.size(); ++b)
    for (size_t w = 0; w < clips[b].size(); ++w) {
      span[2 * (b * most + w)] = clips[b][w].first;
      span[2 * (b * most + w) + 1] = clips[b][w].second;
      real[b * most + w] = true;
    }
  return result;
}

WindowSpans behind_each_other(const WindowSpans& first, const WindowSpans& second) {
  return {at::cat({first.spans_BW2, second.spans_BW2}, 1), at::cat({first.mask_BW, second.mask_BW}, 1)};
}

}  // namespace

WindowSpans windows_of(const WindowOptions& options, const WindowSpans& clips, const at::Tensor& times_BT,
                       const at::Tensor& mask_BT) {
  const WindowSpans whole{clips.spans_BW2.slice(1, 0, 1), clips.mask_BW.slice(1, 0, 1)};
  if (options.windows == Windows::none) return whole;
  if (options.windows == Windows::utterance)
    return options.whole ? clips : WindowSpans{clips.spans_BW2.slice(1, 1), clips.mask_BW.slice(1, 1)};
  std::vector<Spans> spans;
  for (int64_t b = 0; b < times_BT.size(0); ++b) {
    const std::vector<float> times = times_of(times_BT[b], mask_BT[b]);
    spans.push_back(options.windows == Windows::sliding ? sliding_spans(times, options) : fixed_spans(times, options));
  }
  return options.whole ? behind_each_other(whole, padded(spans)) : padded(spans);
}

at::Tensor moments_of_windows(const at::Tensor& times_BT, const at::Tensor& mask_BT, const at::Tensor& spans_BW2) {
  const at::Tensor times_B1T = times_BT.unsqueeze(1), start_BW1 = spans_BW2.slice(2, 0, 1), end_BW1 = spans_BW2.slice(2, 1, 2);
  const at::Tensor inside_BWT = times_B1T.ge(start_BW1).logical_and_(times_B1T.lt(end_BW1)).logical_and_(mask_BT.unsqueeze(1));
  const at::Tensor distance_BWT = (times_B1T - (start_BW1 + end_BW1) / 2)
                                      .abs()
                                      .masked_fill(mask_BT.logical_not().unsqueeze(1), std::numeric_limits<float>::infinity());
  const at::Tensor numbers_T = at::arange(times_BT.size(1), times_BT.options().dtype(at::kLong));
  const at::Tensor nearest_BWT = numbers_T.eq(distance_BWT.argmin(2, true));
  return at::where(inside_BWT.any(2, true), inside_BWT, nearest_BWT);
}

at::Tensor mean_of_windows(const TimedTokens& memory, const at::Tensor& spans_BW2) {
  const at::Tensor mean_BTM = memory.tokens_BTPM.mean(2);
  const at::Tensor seen_BWT =
      nn::sent(moments_of_windows(memory.times_BT, memory.mask_BT, spans_BW2).to(mean_BTM.scalar_type()), mean_BTM.device());
  return at::matmul(seen_BWT, mean_BTM) / seen_BWT.sum(2, true).clamp_min(1);
}

void require_moments(const at::Tensor& mask_BT, const std::vector<std::string>& ids) {
  const at::Tensor empty = mask_BT.any(1).logical_not().nonzero();
  if (empty.size(0) == 0) return;
  const auto clip = size_t(empty[0][0].item<int64_t>());
  throw DataError("clip '{}' has no picture or no sound, and the model has no token that says so",
                  clip < ids.size() ? ids[clip] : std::to_string(clip))
      .hint("set nothing_token of a Q-Former that is yet to be trained, or leave the clip out");
}

}  // namespace microemo::model
