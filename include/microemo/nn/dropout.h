#pragma once
#include <cstdint>
#include <initializer_list>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

// Dropout whose masks are pure functions of keys: the same for a row of a batch wherever it stands, however the batch is cut and
// however often a block is computed.

namespace microemo::nn {

/// One key for each row (first dimension) of what passes through. Empty: nothing is dropped, as in evaluation.
class DropoutKeys {
 public:
  DropoutKeys() = default;
  explicit DropoutKeys(std::vector<uint64_t> rows) : rows_(std::move(rows)) {}

  bool none() const { return rows_.empty(); }
  const std::vector<uint64_t>& rows() const { return rows_; }
  /// Keys of the same rows at another place of the model, by its number among its neighbours.
  DropoutKeys at(uint64_t place) const;
  /// Keys of `count` parts of every row, part by part: row r's part i is row r * count + i of the result.
  DropoutKeys parts(int64_t count) const;
  /// The same with a count for every row.
  DropoutKeys parts(const std::vector<int64_t>& counts) const;
  /// Keys of chosen rows, int64 [count] on any device.
  DropoutKeys rows_at(const at::Tensor& chosen) const;

 private:
  std::vector<uint64_t> rows_;
};

/// A key from a seed and what is drawn for, such as step, clip and utterance.
uint64_t dropout_key(uint64_t seed, std::initializer_list<uint64_t> coordinates);

/// x [B, …] with each number either 0, with the given probability, or divided by 1 - probability (Srivastava et al. 2014). The
/// mask is not kept: backward draws it again. x itself for no keys or a probability of 0. Throws Error(internal) unless there is
/// a key for every row. Floating-point dtypes, any device. Thread-safe.
at::Tensor dropout(const at::Tensor& x, double probability, const DropoutKeys& keys);

/// As dropout, but a whole row is dropped or kept (stochastic depth; Huang et al. 2016, DropPath in timm).
at::Tensor drop_rows(const at::Tensor& x, double probability, const DropoutKeys& keys);

}  // namespace microemo::nn
