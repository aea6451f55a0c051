#pragma once
#include <cstdint>
#include <functional>

#include <ATen/core/Tensor.h>
#include <torch/csrc/distributed/c10d/Backend.hpp>

#include "microemo/parallel/group.h"

namespace microemo::parallel {

/// A second way between the ranks of a group, which outlives it. Its calls come in the same order on every rank, and may come
/// between those of the group in any. One thread at a time.
class SideLink {
 public:
  /// `nccl` is null where tensors of a device go over the CPU.
  SideLink(const Group& group, c10::intrusive_ptr<c10d::Backend> gloo, c10::intrusive_ptr<c10d::Backend> nccl)
      : group_(group), gloo_(std::move(gloo)), nccl_(std::move(nccl)) {}
  ~SideLink();
  SideLink(const SideLink&) = delete;
  SideLink& operator=(const SideLink&) = delete;

  /// Whether tensors of the device go without the CPU.
  bool reaches(const at::Device& device) const { return device.is_cpu() || (nccl_ && device.is_cuda()); }
  double sum(double value) const;
  /// Begins to bring own [n] of every rank together in all [world * n], on a device that is reached. On a GPU that is done behind
  /// what is in the queue of the thread by now, and beside what comes later. The wait that is returned has to be called before
  /// either tensor is freed; on a GPU what the thread puts in the queue from then on finds `all` filled.
  std::function<void()> gather_later(const at::Tensor& all, const at::Tensor& own) const;

 private:
  const Group& group_;
  c10::intrusive_ptr<c10d::Backend> gloo_, nccl_;
};

/// Ends NCCL, which does not wait for ranks that are gone when `failed`.
void end_nccl(c10::intrusive_ptr<c10d::Backend>& nccl, bool failed);

}  // namespace microemo::parallel
