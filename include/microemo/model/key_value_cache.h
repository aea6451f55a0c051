#pragma once
#include <cstdint>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include "microemo/nn/cached_attention.h"

// Shapes: R rows, n new tokens, G key/value heads, E head width, S cached positions.

namespace microemo::model {

/// Keys and values of the tokens read so far. Room for more is made in ever larger pieces, so that a token costs no copy of those
/// before it. A copy and what it was copied from must not both go on: continued() is for that. Not thread-safe.
class KeyValueCache {
 public:
  /// Positions that have been read.
  int64_t length() const { return length_; }
  /// Adds what a block made of new tokens, [R, G, n, E] each, and returns all of the block's positions, [R, G, length + n, E].
  /// The first call decides what stays: the tensors given there are kept, not copied.
  std::pair<at::Tensor, at::Tensor> extend(size_t block, const at::Tensor& keys_RGnE, const at::Tensor& values_RGnE);
  /// For a cache of one row: adds row `row` of what a block made of one new token of several texts, [R, G, E] each.
  void append(size_t block, const at::Tensor& keys_RGE, const at::Tensor& values_RGE, int64_t row);
  /// Called after the last block.
  void advance(int64_t tokens) { length_ += tokens; }
  /// For a cache of one row: another one that goes on from its positions, which both share. Any number may go on from one.
  KeyValueCache continued() const;
  /// For a cache of one row: a block's positions, with those appended since the last advance().
  nn::CachedRow row(size_t block) const;

 private:
  struct Block {
    nn::CachedRow begun;                ///< shared with others, never written
    at::Tensor keys_RGSE, values_RGSE;  ///< what follows, with room for S positions; undefined before the first
    int64_t length = 0;                 ///< positions in these
  };
  void make_room(Block& block, int64_t count, const at::Tensor& like_RGnE) const;

  std::vector<Block> blocks_;
  int64_t length_ = 0;
};

}  // namespace microemo::model
