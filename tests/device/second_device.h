#pragma once
#include <cstdint>
#include <functional>

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include "microemo/base/device.h"

namespace microemo::test {

/// A device of LibTorch beside the CPU that every machine has, so that code which is meant for a GPU is run by tests: tensors on
/// it lie in ordinary memory and every operation computes what the CPU computes, bit for bit, but an operation that mixes its
/// tensors with those of the CPU fails as it does on a GPU (numbers of no dimension are allowed, as there). There are two of it,
/// 0 and 1, so that each of two ranks has one of its own, and a thread of its own for backward. From the first call on it is in
/// the process. One thread at a time for each.
at::Device second_device(int index = 0);

/// Its recorded work, as a GPU has it: what is computed between begin and end is done again by run, on the same memory; reading a
/// number in between fails. Calls of kernels that are not LibTorch's are told by record_call.
const DeviceGraphs& second_device_graphs();
void record_call(std::function<void()> call);

/// How often recorded work was run.
int64_t second_device_graph_runs();

/// How often the program waited for what was computed on the device: for numbers (Tensor::item and the like), for how many
/// elements a result has (nonzero and the like), for copies to the CPU unless they are non-blocking, and for all that was asked
/// of it.
int64_t second_device_waits();

/// How often data went from the second device to the CPU or back, item() not counted.
int64_t second_device_copies();

}  // namespace microemo::test
