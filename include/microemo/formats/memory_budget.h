#pragma once
#include <cstdint>

#include "microemo/base/error.h"

namespace microemo::formats {

/// What reading a file's tables may take: twice the file and 16 MB, so that a small file cannot exhaust a machine. Readers take
/// their share before they allocate.
class MemoryBudget {
 public:
  explicit MemoryBudget(uint64_t file_bytes) : left_(2 * file_bytes + (uint64_t{16} << 20)) {}

  /// Throws Error(checkpoint) when nothing is left.
  void take(uint64_t bytes) {
    if (bytes > left_)
      throw CheckpointError("reading this file would take more memory than twice its size and 16 MB")
          .hint("it is damaged, or made to exhaust the memory; fetch it again from a source that you trust");
    left_ -= bytes;
  }

 private:
  uint64_t left_;
};

}  // namespace microemo::formats
