#pragma once
#include <ATen/core/Tensor.h>

namespace microemo {

/// Trains a small decoder with adapters and dropout for 20 steps on the CPU and on the device, both in fp32, and prints the
/// losses. False when they differ by more than 1e-4, relative, at any step.
bool same_curve(const at::Device& device);

}  // namespace microemo
