#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace microemo {

/// A device as the user names it: "auto", "cpu", "cuda" or "cuda:N".
struct Device {
  bool cuda = false;
  int index = 0;
  std::string reason;     ///< why this one was taken, for the log
  std::string name = {};  ///< of a GPU, as its driver gives it
};

/// What a result says of the device that it was computed on: "cpu", or "cuda: NAME". Which of several GPUs of one name it was
/// changes no result.
std::string device_text(const Device& device);

/// Chooses the device once, at the start of main and before any seed, backward pass or CUDA query: LibTorch settles on "no CUDA"
/// at the first of these. A CUDA device loads libmicroemo_cuda.so, which lies beside the program. "auto" takes the CPU when
/// anything is missing; "cuda" then throws Error(environment) that names what is missing. Called again with another choice it
/// throws Error(environment) "loaded too late". Error(config) for a name that is none of these. Not for several threads at once.
Device choose_device(const std::string& name);

struct CudaDevice {
  std::string name;
  int64_t total_bytes = 0;
  int64_t free_bytes = 0;
  int major = 0, minor = 0;  ///< compute capability
};

/// What CUDA work needs and what of it is here.
struct CudaSupport {
  bool plugin_loaded = false;
  std::vector<std::string> missing;  ///< one sentence for each thing; empty when CUDA can be used
  std::vector<CudaDevice> devices;
};

/// Looks at everything, for reports on the machine: loads the plug-in, which takes a second and brings LibTorch's CUDA libraries
/// into the process. Call it where choose_device is called, not later. With `only`, the facts of one device alone are asked for:
/// every other would be given a context, which takes its memory.
CudaSupport cuda_support(std::optional<int> only = {});

/// Of LibTorch's allocator on a GPU, in bytes: what tensors take, what was taken from the driver for them, and the most of both.
struct CudaMemory {
  int64_t allocated = 0, reserved = 0, peak_allocated = 0, peak_reserved = 0;
};
/// Throws Error(environment) without the plug-in.
CudaMemory cuda_memory(int index);

/// Waits until a GPU has done all that was put in its queues. Throws Error(environment) for an error of that work.
void wait_for_cuda(int index);

/// NCCL among the ranks of a job, one GPU each. `store` is a c10::intrusive_ptr<c10d::Store>*, `group` a
/// c10::intrusive_ptr<c10d::Backend>*, which is set. Throws Error(environment) when NCCL cannot be had.
void make_nccl_group(void* store, int64_t rank, int64_t world, int device, double timeout_s, void* group);

/// Work on a device that is recorded once and then done again and again on the same memory. See nn::Replay.
struct DeviceGraphs {
  void* (*begin)() = nullptr;
  void (*end)(void* graph) = nullptr;
  void (*run)(void* graph) = nullptr;
  void (*free)(void* graph) = nullptr;
};
/// Those of the device that was chosen; null while that is the CPU.
const DeviceGraphs* device_graphs();
void set_device_graphs(const DeviceGraphs* graphs);

/// Runs one small kernel of the plug-in on the device and compares it with the CPU. Throws Error(environment) when it cannot run
/// or differs.
void check_cuda_device(int index);

}  // namespace microemo
