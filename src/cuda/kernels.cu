#include "kernels.h"

#include <cuda_runtime_api.h>

#include "cells.h"

namespace {

using namespace microemo::cells;

constexpr int threads_per_block = 256;
constexpr int64_t most_blocks = 65536;

unsigned blocks_for(int64_t count, int64_t each) {
  const int64_t needed = (count + each - 1) / each;
  return static_cast<unsigned>(needed < most_blocks ? needed : most_blocks);
}

/// cell(work, n) for 0 <= n < count.
template <class Work, void (*cell)(const Work&, int64_t)>
__global__ void for_each(Work work, int64_t count) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t n = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; n < count; n += stride) cell(work, n);
}

template <class Work, void (*of_floats)(const Work&, int64_t), void (*of_bf16)(const Work&, int64_t)>
int launch(const Work& work, int64_t count, void* stream) {
  if (count == 0) return cudaSuccess;
  const unsigned blocks = blocks_for(count, threads_per_block);
  const auto queue = static_cast<cudaStream_t>(stream);
  if (work.type == microemo_bf16)
    for_each<Work, of_bf16><<<blocks, threads_per_block, 0, queue>>>(work, count);
  else
    for_each<Work, of_floats><<<blocks, threads_per_block, 0, queue>>>(work, count);
  return cudaGetLastError();
}

__global__ void scale_and_shift(float* values, int64_t count, float factor, float offset) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += stride)
    values[i] = values[i] * factor + offset;
}

/// A block for each row.
template <class Number>
__global__ void cross_entropy(MicroEmoCrossEntropy work) {
  __shared__ SoftmaxPart parts[threads_per_block];
  const int thread = static_cast<int>(threadIdx.x);
  for (int64_t row = blockIdx.x; row < work.rows; row += gridDim.x) {
    parts[thread] = softmax_part<Number>(work, row, thread, threads_per_block);
    __syncthreads();
    for (int half = threads_per_block / 2; half > 0; half /= 2) {
      if (thread < half) parts[thread] = joined(parts[thread], parts[thread + half]);
      __syncthreads();
    }
    cross_entropy_part<Number>(work, row, thread, threads_per_block, parts[0]);
    __syncthreads();
  }
}

int64_t count_of(const MicroEmoDropout& work) {
  int64_t count = 1;
  for (int d = 0; d < work.dimensions; ++d) count *= work.sizes[d];
  return count;
}

}  // namespace

int microemo_scale_and_shift(float* values, int64_t count, float factor, float offset, void* stream) {
  if (count == 0) return cudaSuccess;
  scale_and_shift<<<blocks_for(count, threads_per_block), threads_per_block, 0, static_cast<cudaStream_t>(stream)>>>(
      values, count, factor, offset);
  return cudaGetLastError();
}

int microemo_dropout(const MicroEmoDropout* work, void* stream) {
  return launch<MicroEmoDropout, drop<float>, drop<Bf16>>(*work, count_of(*work), stream);
}

int microemo_rotary(const MicroEmoRotary* work, void* stream) {
  const int64_t count = work->rows * work->length * work->heads * (work->width / 2);
  return launch<MicroEmoRotary, turn<float>, turn<Bf16>>(*work, count, stream);
}

int microemo_swiglu(const MicroEmoSwiglu* work, void* stream) {
  return launch<MicroEmoSwiglu, swiglu<float>, swiglu<Bf16>>(*work, work->count, stream);
}

int microemo_swiglu_backward(const MicroEmoSwiglu* work, void* stream) {
  return launch<MicroEmoSwiglu, swiglu_backward<float>, swiglu_backward<Bf16>>(*work, work->count, stream);
}

int microemo_cross_entropy(const MicroEmoCrossEntropy* work, void* stream) {
  if (work->rows == 0) return cudaSuccess;
  const auto queue = static_cast<cudaStream_t>(stream);
  if (work->type == microemo_bf16)
    cross_entropy<Bf16><<<blocks_for(work->rows, 1), threads_per_block, 0, queue>>>(*work);
  else
    cross_entropy<float><<<blocks_for(work->rows, 1), threads_per_block, 0, queue>>>(*work);
  return cudaGetLastError();
}

int microemo_thaw_nf4(const MicroEmoThaw* work, void* stream) {
  return launch<MicroEmoThaw, thaw<float>, thaw<Bf16>>(*work, work->count, stream);
}
