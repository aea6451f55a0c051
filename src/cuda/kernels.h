#pragma once
#include <cstdint>

#include "microemo/base/device_kernels.h"

// Kernels take raw pointers and sizes, so that nvcc never meets LibTorch's headers. Each is launched on `stream` (a cudaStream_t)
// and returns cudaGetLastError(): 0 when the launch was accepted.
extern "C" {

/// values[i] = values[i] * factor + offset for 0 <= i < count.
int microemo_scale_and_shift(float* values, int64_t count, float factor, float offset, void* stream);

int microemo_dropout(const MicroEmoDropout* work, void* stream);
int microemo_rotary(const MicroEmoRotary* work, void* stream);
int microemo_swiglu(const MicroEmoSwiglu* work, void* stream);
int microemo_swiglu_backward(const MicroEmoSwiglu* work, void* stream);
int microemo_cross_entropy(const MicroEmoCrossEntropy* work, void* stream);
int microemo_thaw_nf4(const MicroEmoThaw* work, void* stream);
}
