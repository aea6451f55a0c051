#pragma once
#include <ATen/core/Tensor.h>

// Steps between matrix products whose gradients are written out, in fewer passes over memory than those that autograd would put
// together. Equal to the formulas within rounding. First derivatives only.

namespace microemo::nn {

/// x / sqrt(mean(x^2) + eps) * weight over the last dimension (Zhang and Sennrich 2019, eq. 4). x [..., C] of any float dtype,
/// weight [C]; a new tensor. Thread-safe.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight_C, double eps);

/// silu(gate) * up, silu(x) = x / (1 + exp(-x)) (SwiGLU; Shazeer 2020, eq. 6). Both of one shape and any float dtype; a new
/// tensor. Thread-safe.
at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up);

}  // namespace microemo::nn
