#pragma once
#include <cstdint>

namespace microemo::train {

/// Floating-point operations of the matrix products and fused attentions that this thread runs between construction and stop(),
/// forward and backward, counted from their shapes: 2 n m k for [n, k] x [k, m]. What is added element by element is left out; it
/// is small beside them.
class FlopCounter {
 public:
  FlopCounter();
  ~FlopCounter() { stop(); }
  FlopCounter(const FlopCounter&) = delete;
  FlopCounter& operator=(const FlopCounter&) = delete;

  /// The count; counting is over.
  int64_t stop();

 private:
  uint64_t handle_ = 0;
  int64_t count_ = 0;
};

}  // namespace microemo::train
