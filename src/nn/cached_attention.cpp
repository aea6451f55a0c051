#include "microemo/nn/cached_attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <ATen/ops/cat.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/zeros_like.h>

#include "eight.h"
#include "microemo/base/error.h"
#include "pieces.h"

namespace microemo::nn {
namespace {

/// One head's part of a piece, where it lies in memory.
struct Strip {
  const float* start;
  int64_t step;  ///< from one position to the next

  Strip(const at::Tensor& t_GSE, int64_t head)
      : start(t_GSE.const_data_ptr<float>() + head * t_GSE.stride(0)), step(t_GSE.stride(1)) {}
};

float product(const float* a, const float* b, int64_t width) {
  Eight whole{};
  int64_t i = 0;
  for (; i + eight <= width; i += eight) whole += load(a + i) * load(b + i);
  float rest = 0;
  for (; i < width; ++i) rest += a[i] * b[i];
  return sum(whole) + rest;
}

/// Turns scores into weights that add up to 1; there is room for a multiple of eight.
void softmax(std::vector<float>& scores, int64_t count) {
  const float largest = *std::max_element(scores.begin(), scores.begin() + count);
  for (int64_t i = 0; i < count; i += eight) store(&scores[size_t(i)], exp(load(&scores[size_t(i)]) - largest));
  std::fill(scores.begin() + count, scores.end(), 0.0f);
  Eight total{};
  for (int64_t i = 0; i < count; i += eight) total += load(&scores[size_t(i)]);
  const float scale = 1 / sum(total);
  for (int64_t i = 0; i < count; i += eight) store(&scores[size_t(i)], load(&scores[size_t(i)]) * scale);
}

/// out += the sum over positions of weight * value, for `lanes` times eight numbers of a head.
template <int64_t lanes>
void add_weighted(const float* weights, const float* values, int64_t step, int64_t length, float* out) {
  Eight sums[lanes];
  for (int64_t k = 0; k < lanes; ++k) sums[k] = load(out + k * eight);
  for (int64_t s = 0; s < length; ++s)
    for (int64_t k = 0; k < lanes; ++k) sums[k] += weights[s] * load(values + s * step + k * eight);
  for (int64_t k = 0; k < lanes; ++k) store(out + k * eight, sums[k]);
}

void add_weighted(const float* weights, const Strip& values, int64_t length, int64_t width, float* out) {
  int64_t i = 0;
  for (; i + 4 * eight <= width; i += 4 * eight) add_weighted<4>(weights, values.start + i, values.step, length, out + i);
  for (; i + eight <= width; i += eight) add_weighted<1>(weights, values.start + i, values.step, length, out + i);
  for (; i < width; ++i)
    for (int64_t s = 0; s < length; ++s) out[i] += weights[s] * values.start[s * values.step + i];
}

int64_t positions_of(const CachedRow& row) {
  int64_t count = 0;
  for (const CachedPiece& piece : row) count += piece.length;
  return count;
}

/// One query head of one row; `out` holds zeros.
void attend(const float* query, const CachedRow& row, int64_t group, int64_t width, std::vector<float>& scores, float* out) {
  const int64_t count = positions_of(row);
  scores.assign(size_t((count + eight - 1) / eight * eight), std::numeric_limits<float>::lowest());
  const float scale = 1 / std::sqrt(float(width));
  int64_t place = 0;
  for (const CachedPiece& piece : row) {
    const Strip keys(piece.keys_GSE, group);
    for (int64_t s = 0; s < piece.length; ++s)
      scores[size_t(place++)] = product(query, keys.start + s * keys.step, width) * scale;
  }
  softmax(scores, count);
  place = 0;
  for (const CachedPiece& piece : row) {
    add_weighted(&scores[size_t(place)], Strip(piece.values_GSE, group), piece.length, width, out);
    place += piece.length;
  }
}

bool is_plain_row(const CachedRow& row) {
  return std::all_of(row.begin(), row.end(), [](const CachedPiece& piece) {
    return is_plain(piece.keys_GSE) && is_plain(piece.values_GSE) && piece.keys_GSE.stride(2) == 1 &&
           piece.values_GSE.stride(2) == 1;
  });
}

void check_row(const CachedRow& row, const at::Tensor& query_RHE) {
  MICROEMO_CHECK(positions_of(row) > 0, "attention over no position");
  for (const CachedPiece& piece : row)
    for (const at::Tensor& t_GSE : {piece.keys_GSE, piece.values_GSE})
      MICROEMO_CHECK(t_GSE.dim() == 3 && query_RHE.size(1) % t_GSE.size(0) == 0 && piece.length <= t_GSE.size(1) &&
                         t_GSE.size(2) == query_RHE.size(2),
                     "{} of {} cached positions for {} heads of {}", piece.length, fmt::join(t_GSE.sizes(), " x "),
                     query_RHE.size(1), query_RHE.size(2));
}

/// Devices and types without a loop of ours.
at::Tensor attend_by_library(const at::Tensor& query_HE, const CachedRow& row) {
  std::vector<at::Tensor> keys, values;
  for (const CachedPiece& piece : row) {
    keys.push_back(piece.keys_GSE.narrow(1, 0, piece.length));
    values.push_back(piece.values_GSE.narrow(1, 0, piece.length));
  }
  const at::Tensor keys_1GSE = at::cat(keys, 1).unsqueeze(0), values_1GSE = at::cat(values, 1).unsqueeze(0);
  return at::scaled_dot_product_attention(query_HE.unsqueeze(1).unsqueeze(0), keys_1GSE, values_1GSE, std::nullopt, 0.0, false,
                                          std::nullopt, /*enable_gqa=*/query_HE.size(0) != keys_1GSE.size(1))
      .squeeze(0)
      .squeeze(1);
}

}  // namespace

at::Tensor cached_attention(const at::Tensor& query_RHE, const std::vector<CachedRow>& rows) {
  MICROEMO_CHECK(int64_t(rows.size()) <= query_RHE.size(0), "{} cached rows for {} queries", rows.size(), query_RHE.size(0));
  for (const CachedRow& row : rows) check_row(row, query_RHE);
  const at::Tensor query = query_RHE.contiguous(), result_RHE = at::zeros_like(query);
  if (!is_plain(query) || !std::all_of(rows.begin(), rows.end(), is_plain_row)) {
    for (size_t r = 0; r < rows.size(); ++r)
      result_RHE.select(0, int64_t(r)).copy_(attend_by_library(query.select(0, int64_t(r)), rows[r]));
    return result_RHE;
  }
  const int64_t heads = query.size(1), width = query.size(2);
  const float* from = query.const_data_ptr<float>();
  float* to = result_RHE.mutable_data_ptr<float>();
  for_rows(query.narrow(0, 0, int64_t(rows.size())).view({-1, width}), [&](int64_t first, int64_t end) {
    std::vector<float> scores;
    for (int64_t i = first; i < end; ++i) {
      const CachedRow& row = rows[size_t(i / heads)];
      const int64_t group = i % heads / (heads / row[0].keys_GSE.size(0));
      attend(from + i * width, row, group, width, scores, to + i * width);
    }
  });
  return result_RHE;
}

}  // namespace microemo::nn
