#pragma once
#include <c10/util/Exception.h>
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

inline void write(const char* text, char* reason, size_t reason_size) {
  const size_t length = std::min(std::strlen(text), reason_size - 1);
  std::memcpy(reason, text, length);
  reason[length] = '\0';
}

/// No exception crosses the C interface: what was thrown becomes the reason.
template <class Work>
bool guarded(char* reason, size_t reason_size, const Work& work) {
  try {
    work();
    return true;
  } catch (const c10::Error& failure) {
    write(failure.what_without_backtrace(), reason, reason_size);
  } catch (const std::exception& failure) {
    write(failure.what(), reason, reason_size);
  }
  return false;
}

}  // namespace microemo
