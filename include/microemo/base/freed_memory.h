#pragma once
#include <malloc.h>

namespace microemo {

/// Freed memory stays with the process: a step or an answer asks for the same blocks again, and new pages cost more than the
/// products of a small model. For commands that compute again and again; call it first.
inline void keep_freed_memory() {
  ::mallopt(M_MMAP_THRESHOLD, 32 << 20);
  ::mallopt(M_TRIM_THRESHOLD, 1 << 30);
}

}  // namespace microemo
