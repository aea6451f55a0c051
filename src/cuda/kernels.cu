#include "kernels.h"

#include <cuda_runtime_api.h>

namespace {

constexpr int threads_per_block = 256;
constexpr int64_t most_blocks = 65536;

__global__ void scale_and_shift(float* values, int64_t count, float factor, float offset) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += stride)
    values[i] = values[i] * factor + offset;
}

}  // namespace

int microemo_scale_and_shift(float* values, int64_t count, float factor, float offset, void* stream) {
  if (count == 0) return cudaSuccess;
  const int64_t needed = (count + threads_per_block - 1) / threads_per_block;
  const auto blocks = static_cast<unsigned>(needed < most_blocks ? needed : most_blocks);
  scale_and_shift<<<blocks, threads_per_block, 0, static_cast<cudaStream_t>(stream)>>>(values, count, factor, offset);
  return cudaGetLastError();
}
