#pragma once
#include <ATen/core/Tensor.h>

namespace microemo::nn {

/// The tensor on a device, from the CPU without a wait: a copy to a GPU comes from pinned memory and is put in its queue. What is
/// there already is shared.
inline at::Tensor sent(const at::Tensor& tensor, const at::Device& device) {
  if (!tensor.defined() || tensor.device() == device) return tensor;
  const at::Tensor from = device.is_cuda() && tensor.is_cpu() ? tensor.pin_memory() : tensor;
  return from.to(device, tensor.scalar_type(), /*non_blocking=*/true);
}

}  // namespace microemo::nn
