#pragma once
#include <string>

namespace microemo {

/// A device as the user names it: "auto", "cpu", "cuda" or "cuda:N".
struct Device {
  bool cuda = false;
  int index = 0;
  std::string reason;  ///< why this one was taken, for the log
};

/// Chooses the device once, at the start of main and before any seed, backward pass or CUDA query: LibTorch settles on "no CUDA" at the
/// first of these. A CUDA device loads libmicroemo_cuda.so, which lies beside the program. "auto" takes the CPU when anything is missing; "cuda" then throws
/// Error(environment) that names what is missing. Called again with another choice it throws Error(environment) "loaded too late".
Device choose_device(const std::string& name);

}  // namespace microemo
