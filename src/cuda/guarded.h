#pragma once
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <exception>
#include <stdexcept>

namespace microemo {

inline void require(int code) {
  if (code != cudaSuccess) throw std::runtime_error(cudaGetErrorString(static_cast<cudaError_t>(code)));
}

/// No exception crosses the C interface: what was thrown becomes the reason.
template <class Work>
bool guarded(char* reason, size_t reason_size, const Work& work) {
  try {
    work();
    return true;
  } catch (const std::exception& failure) {
    const size_t length = std::min(std::strlen(failure.what()), reason_size - 1);
    std::memcpy(reason, failure.what(), length);
    reason[length] = '\0';
    return false;
  }
}

}  // namespace microemo
