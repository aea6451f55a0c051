#pragma once
#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>

#include "microemo/parallel/group.h"

namespace microemo::parallel {

/// Sums gradients over the ranks. They lie in flat buckets that are fixed at the start, last parameters first, and are sent in
/// that order on every rank, whatever order gradients arrive in; a bucket is sent as soon as it and all before it are full, while
/// the backward pass goes on. One thread at a time.
class GradientReducer {
 public:
  /// For one process: does nothing.
  GradientReducer();
  /// `parameters`: those that are trained, the same in the same order on every rank; fp32, CPU. `group` outlives this.
  GradientReducer(Group& group, std::vector<at::Tensor> parameters, double bucket_mb);
  ~GradientReducer();
  GradientReducer(const GradientReducer&) = delete;
  GradientReducer& operator=(const GradientReducer&) = delete;

  Group& group();

  /// Before the last backward pass of a step: gradients that arrive from now on are complete. A rank without any pass need not
  /// call it.
  void last_pass();
  /// After it, on every rank: sends what is left, with zeros for what has no gradient here, and waits. Then the gradient of each
  /// parameter is the sum, the same bits on every rank, or undefined where no rank has one. The gradients share memory that the
  /// next step writes over.
  void finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace microemo::parallel
