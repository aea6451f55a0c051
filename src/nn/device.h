#pragma once
#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>

#include "microemo/base/device_kernels.h"
#include "microemo/base/error.h"
#include "microemo/nn/sent.h"

// The kernels of a device beside the CPU, for tensors.

namespace microemo::nn {

/// Null for tensors on the CPU or without memory, for numbers that the kernels do not take, and for a device without kernels.
inline const MicroEmoKernels* kernels_for(const at::Tensor& x) {
  const bool known = x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16 || x.scalar_type() == at::kByte;
  return x.is_cpu() || x.is_meta() || !known ? nullptr : device_kernels();
}

inline MicroEmoNumber number_type(const at::Tensor& x) {
  return x.scalar_type() == at::kBFloat16 ? microemo_bf16 : microemo_fp32;
}

inline void launched(int code, const char* what) {
  if (code != 0) throw EnvironmentError("the GPU refused a kernel ({}): code {}", what, code);
}

/// [n] int64 with the bits of the numbers.
inline at::Tensor on_device_of(const at::Tensor& x, const std::vector<uint64_t>& numbers) {
  const at::Tensor here = at::from_blob(const_cast<uint64_t*>(numbers.data()), {int64_t(numbers.size())}, at::kLong);
  return sent(here, x.device());
}

}  // namespace microemo::nn
