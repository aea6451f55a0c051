#pragma once
#include <cstddef>
#include <cstdint>

// What libmicroemo_cuda.so offers the program, in C: the program is linked without CUDA and asks for it when it runs.
// Functions return false after writing the reason, with its final zero, to `reason`; they do not throw.
extern "C" {

struct MicroEmoCudaDevice {
  char name[256];
  int64_t total_bytes, free_bytes;
  int32_t major, minor;
};

struct MicroEmoCudaPlugin {
  int32_t interface_version;
  /// Devices that LibTorch can use. Fails when it has already settled on "no CUDA" in this process.
  bool (*device_count)(int32_t* count, char* reason, size_t reason_size);
  bool (*device_facts)(int32_t index, MicroEmoCudaDevice* facts, char* reason, size_t reason_size);
  bool (*self_check)(int32_t index, char* reason, size_t reason_size);
};

using MicroEmoCudaPluginFunction = const MicroEmoCudaPlugin* (*)();
}

namespace microemo {
/// Raised with every change above: a plug-in of another build is refused.
inline constexpr int32_t cuda_interface_version = 1;
inline constexpr const char* cuda_plugin_file = "libmicroemo_cuda.so";
inline constexpr const char* cuda_plugin_symbol = "microemo_cuda_plugin";
}  // namespace microemo
