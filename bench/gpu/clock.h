#pragma once
#include <chrono>

#include <ATen/core/Tensor.h>

#include "microemo/base/device.h"

namespace microemo {

inline double now_s() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// A GPU is still at work when the program goes on.
inline void wait(const at::Device& device) {
  if (device.is_cuda()) wait_for_cuda(device.index());
}

}  // namespace microemo
