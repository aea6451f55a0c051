// The one file of the plug-in that knows LibTorch: devices, memory and a self-check, behind the C interface of
// base/cuda_plugin.h.
#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <string>

#include "base/cuda_plugin.h"
#include "kernels.h"

namespace {

void require(int code) {
  if (code != cudaSuccess) throw std::runtime_error(cudaGetErrorString(static_cast<cudaError_t>(code)));
}

/// No exception crosses the C interface: what was thrown becomes the reason.
template <class Work>
bool guarded(char* reason, size_t reason_size, const Work& work) {
  try {
    work();
    return true;
  } catch (const std::exception& failure) {
    const size_t length = std::min(std::strlen(failure.what()), reason_size - 1);
    std::memcpy(reason, failure.what(), length);
    reason[length] = '\0';
    return false;
  }
}

bool device_count(int32_t* count, char* reason, size_t reason_size) {
  return guarded(reason, reason_size, [&] {
    int devices = 0;
    require(cudaGetDeviceCount(&devices));
    if (devices > 0 && !at::hasCUDA())
      throw std::runtime_error("the plug-in was loaded too late: LibTorch has already settled on the CPU in this process");
    *count = devices;
  });
}

bool device_facts(int32_t index, MicroEmoCudaDevice* facts, char* reason, size_t reason_size) {
  return guarded(reason, reason_size, [&] {
    const c10::cuda::CUDAGuard guard(static_cast<c10::DeviceIndex>(index));
    cudaDeviceProp properties{};
    require(cudaGetDeviceProperties(&properties, index));
    size_t free_bytes = 0, total_bytes = 0;
    require(cudaMemGetInfo(&free_bytes, &total_bytes));
    *facts = {};
    std::snprintf(facts->name, sizeof facts->name, "%s", properties.name);
    facts->total_bytes = static_cast<int64_t>(total_bytes);
    facts->free_bytes = static_cast<int64_t>(free_bytes);
    facts->major = properties.major;
    facts->minor = properties.minor;
  });
}

/// LibTorch's allocator and stream, an own kernel and the way back to the CPU: what a training step will use.
bool self_check(int32_t index, char* reason, size_t reason_size) {
  return guarded(reason, reason_size, [&] {
    const at::Device device(at::kCUDA, static_cast<c10::DeviceIndex>(index));
    const c10::cuda::CUDAGuard guard(device);
    const at::Tensor host = at::arange(1000, at::kFloat);
    const at::Tensor values = host.to(device);
    require(microemo_scale_and_shift(values.data_ptr<float>(), values.numel(), 2.0F, 1.0F,
                                     c10::cuda::getCurrentCUDAStream().stream()));
    if (!at::equal(values.cpu(), host * 2 + 1)) throw std::runtime_error("a kernel's result differs from the CPU's");
  });
}

constexpr MicroEmoCudaPlugin plugin{microemo::cuda_interface_version, device_count, device_facts, self_check};

}  // namespace

extern "C" __attribute__((visibility("default"))) const MicroEmoCudaPlugin* microemo_cuda_plugin() { return &plugin; }
