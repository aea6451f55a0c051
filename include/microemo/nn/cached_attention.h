#pragma once
#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

// Shapes: R rows, H query heads, G key/value heads, S positions with room for more, E width of a head.

namespace microemo::nn {

/// Keys and values of a row that follow those of the piece before: [G, S, E] each, of which the first `length` positions count.
struct CachedPiece {
  at::Tensor keys_GSE, values_GSE;
  int64_t length = 0;
};
/// All positions of a row, piece by piece.
using CachedRow = std::vector<CachedPiece>;

/// softmax(q K^T / sqrt(E)) V (Vaswani et al. 2017, eq. 1) of one query for each row, over all positions of its row: rows of
/// different lengths, without padding. query_RHE of any float dtype, H a multiple of G; a new tensor [R, H, E]. What a row gets
/// depends on nothing but the row, bit for bit, however its positions are cut into pieces; rows of the query behind those of
/// `rows` get zeros. Without gradients. Throws Error(internal) when shapes disagree or a row has no position. Thread-safe.
at::Tensor cached_attention(const at::Tensor& query_RHE, const std::vector<CachedRow>& rows);

}  // namespace microemo::nn
