#pragma once
#include <ATen/core/Tensor.h>

#include "microemo/base/device.h"

namespace microemo::train {

/// LibTorch's name for a device that was chosen.
inline at::Device torch_device(const Device& device) {
  return device.cuda ? at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(device.index)) : at::Device(at::kCPU);
}

}  // namespace microemo::train
