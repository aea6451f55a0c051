#pragma once
#include <cstddef>
#include <cstdint>

#include "microemo/base/device_kernels.h"

// What libmicroemo_cuda.so offers the program, in C: the program is linked without CUDA and asks for it when it runs.
// Functions return false after writing the reason, with its final zero, to `reason`; they do not throw.
extern "C" {

struct MicroEmoCudaDevice {
  char name[256];
  int64_t total_bytes, free_bytes;
  int32_t major, minor;
};

/// Of LibTorch's allocator on one device, in bytes.
struct MicroEmoCudaMemory {
  int64_t allocated, reserved, peak_allocated, peak_reserved;
};

/// A job's way to meet, for the communication between GPUs.
struct MicroEmoNcclMeeting {
  void* store;  ///< a c10::intrusive_ptr<c10d::Store>*, which is copied
  int32_t rank, world, device;
  double timeout_s;
};

struct MicroEmoCudaPlugin {
  int32_t interface_version;
  /// Devices that LibTorch can use. Fails when it has already settled on "no CUDA" in this process.
  bool (*device_count)(int32_t* count, char* reason, size_t reason_size);
  bool (*device_facts)(int32_t index, MicroEmoCudaDevice* facts, char* reason, size_t reason_size);
  /// Makes the device the thread's, for all that is put in a queue without naming one.
  bool (*use_device)(int32_t index, char* reason, size_t reason_size);
  bool (*self_check)(int32_t index, char* reason, size_t reason_size);
  bool (*memory)(int32_t index, MicroEmoCudaMemory* memory, char* reason, size_t reason_size);
  /// Waits until all that was put in the queues of the device is done.
  bool (*wait)(int32_t index, char* reason, size_t reason_size);
  const MicroEmoKernels* kernels;
  /// NCCL among the ranks of a meeting: `group` is a c10::intrusive_ptr<c10d::Backend>*, which is set.
  bool (*nccl_group)(const MicroEmoNcclMeeting* meeting, void* group, char* reason, size_t reason_size);
  /// Work that is put in the queue between begin_graph and end_graph is kept and not done; `graph` then does it again and again,
  /// on the same memory. The first two from one thread, on the device in use; memory that is made in between belongs to the
  /// graph.
  bool (*begin_graph)(void** graph, char* reason, size_t reason_size);
  bool (*end_graph)(void* graph, char* reason, size_t reason_size);
  bool (*run_graph)(void* graph, char* reason, size_t reason_size);
  void (*free_graph)(void* graph);
};

using MicroEmoCudaPluginFunction = const MicroEmoCudaPlugin* (*)();
}

namespace microemo {
/// Raised with every change above: a plug-in of another build is refused.
inline constexpr int32_t cuda_interface_version = 2;
inline constexpr const char* cuda_plugin_file = "libmicroemo_cuda.so";
inline constexpr const char* cuda_plugin_symbol = "microemo_cuda_plugin";
}  // namespace microemo
