#pragma once
#include "microemo/base/device_kernels.h"

namespace microemo::test {

/// The kernels of the GPU as the CPU runs them, one thread of theirs after the other. They count their calls.
const MicroEmoKernels& host_kernels();

/// Calls since the last time it was asked.
int host_kernel_calls();

}  // namespace microemo::test
