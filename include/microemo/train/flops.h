#pragma once
#include <cstdint>
#include <memory>

namespace c10 {
class DebugInfoGuard;
}

namespace microemo::train {

/// Floating-point operations of the matrix products and fused attentions that this thread and the
/// threads of its backward passes run between construction and stop(), counted from their shapes: 2 n m k for [n, k] x [k, m].
/// What is added element by element is left out; it is small beside them.
class FlopCounter {
 public:
  FlopCounter();
  ~FlopCounter();
  FlopCounter(const FlopCounter&) = delete;
  FlopCounter& operator=(const FlopCounter&) = delete;

  /// The count; counting is over.
  int64_t stop();

  struct Count;

 private:
  uint64_t handle_ = 0;
  std::shared_ptr<Count> count_;
  std::unique_ptr<c10::DebugInfoGuard> guard_;
};

}  // namespace microemo::train
