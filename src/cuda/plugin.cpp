// libmicroemo_cuda.so behind the C interface of base/cuda_plugin.h: devices, memory, kernels and a self-check.
#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <cstdio>
#include <string>

#include "guarded.h"
#include "kernels.h"
#include "parts.h"

namespace {

using microemo::guarded;
using microemo::require;

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

bool use_device(int32_t index, char* reason, size_t reason_size) {
  return guarded(reason, reason_size, [&] {
    c10::cuda::set_device(static_cast<c10::DeviceIndex>(index));
    // Convolutions in fp32 are meant to be that; products are by default.
    at::globalContext().setAllowTF32CuDNN(false);
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

bool memory(int32_t index, MicroEmoCudaMemory* memory, char* reason, size_t reason_size) {
  return guarded(reason, reason_size, [&] {
    const auto stats = c10::cuda::CUDACachingAllocator::getDeviceStats(static_cast<c10::DeviceIndex>(index));
    const auto &allocated = stats.allocated_bytes[0], &reserved = stats.reserved_bytes[0];
    *memory = {allocated.current, reserved.current, allocated.peak, reserved.peak};
  });
}

bool wait(int32_t index, char* reason, size_t reason_size) {
  return guarded(reason, reason_size, [&] {
    const c10::cuda::CUDAGuard guard(static_cast<c10::DeviceIndex>(index));
    require(cudaDeviceSynchronize());
  });
}

/// In the queue that LibTorch's own kernels of this thread go to.
template <class Work, int (*kernel)(const Work*, void*)>
int in_queue(const Work* work) {
  return kernel(work, c10::cuda::getCurrentCUDAStream().stream());
}

constexpr MicroEmoKernels kernels{in_queue<MicroEmoDropout, microemo_dropout>,
                                  in_queue<MicroEmoRotary, microemo_rotary>,
                                  in_queue<MicroEmoSwiglu, microemo_swiglu>,
                                  in_queue<MicroEmoSwiglu, microemo_swiglu_backward>,
                                  in_queue<MicroEmoCrossEntropy, microemo_cross_entropy>,
                                  in_queue<MicroEmoThaw, microemo_thaw_nf4>};

constexpr MicroEmoCudaPlugin plugin{microemo::cuda_interface_version,
                                    device_count,
                                    device_facts,
                                    use_device,
                                    self_check,
                                    memory,
                                    wait,
                                    &kernels,
                                    microemo::make_nccl_group,
                                    microemo::begin_graph,
                                    microemo::end_graph,
                                    microemo::run_graph,
                                    microemo::free_graph};

}  // namespace

extern "C" __attribute__((visibility("default"))) const MicroEmoCudaPlugin* microemo_cuda_plugin() { return &plugin; }
