#pragma once
#include <malloc.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

// Counts what operator new hands out. To be included by exactly one file of a program: it replaces the operators.

namespace microemo::test {

inline std::atomic<size_t> allocated{0}, allocated_peak{0};

inline void* counted(void* memory) {
  if (memory == nullptr) throw std::bad_alloc();
  const size_t now = allocated += malloc_usable_size(memory);
  size_t peak = allocated_peak;
  while (peak < now && !allocated_peak.compare_exchange_weak(peak, now)) {
  }
  return memory;
}

/// Not inlined: the compiler would see free() take what operator new gave, and warn.
[[gnu::noinline]] inline void uncounted(void* memory) {
  if (memory != nullptr) allocated -= malloc_usable_size(memory);
  std::free(memory);
}

/// The most memory that was held at once since it was made, beyond what was held then.
class AllocationPeak {
 public:
  AllocationPeak() : before_(allocated) { allocated_peak = before_; }
  size_t bytes() const { return allocated_peak - before_; }

 private:
  size_t before_;
};

/// What a reader of a file may take.
inline size_t memory_bound(size_t file_bytes) { return 2 * file_bytes + (size_t{16} << 20); }

}  // namespace microemo::test

void* operator new(std::size_t size) { return microemo::test::counted(std::malloc(size)); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  try {
    return operator new(size);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void operator delete(void* memory) noexcept { microemo::test::uncounted(memory); }
void operator delete(void* memory, std::size_t) noexcept { microemo::test::uncounted(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { microemo::test::uncounted(memory); }
