#pragma once
#include <cstdint>

// Kernels take raw pointers and sizes, so that nvcc never meets LibTorch's headers. Each is launched on `stream` (a cudaStream_t)
// and returns cudaGetLastError(): 0 when the launch was accepted.
extern "C" {

/// values[i] = values[i] * factor + offset for 0 <= i < count.
int microemo_scale_and_shift(float* values, int64_t count, float factor, float offset, void* stream);
}
