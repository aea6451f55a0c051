#pragma once
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "microemo/base/error.h"
#include "support/allocations.h"

// What the fuzz targets share. A target defines a function of a path, which may throw Error(checkpoint) or Error(data) and
// nothing else, and ends with MICROEMO_FUZZ_TARGET. Linked with replay.cpp it runs over given files, linked with libFuzzer it
// looks for new ones (tests/fuzz/run).

namespace microemo::fuzz {

/// A file in memory with a path of its own.
class MemoryFile {
 public:
  MemoryFile(const uint8_t* bytes, size_t size) : number_(::memfd_create("fuzz", MFD_CLOEXEC)) {
    for (size_t done = 0; done < size;) {
      const ssize_t written = ::write(number_, bytes + done, size - done);
      if (written <= 0) std::abort();
      done += static_cast<size_t>(written);
    }
  }
  ~MemoryFile() { ::close(number_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  std::filesystem::path path() const { return "/proc/self/fd/" + std::to_string(number_); }

 private:
  int number_;
};

/// Reads every byte, so that one outside its memory is noticed.
template <class Bytes>
void touch(const Bytes& bytes) {
  static volatile unsigned sink = 0;
  for (const auto byte : bytes) sink = sink + static_cast<unsigned>(byte);
}

template <class Read>
int run(const uint8_t* bytes, size_t size, Read read) {
  const MemoryFile file(bytes, size);
  const test::AllocationPeak peak;
  try {
    read(file.path());
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::checkpoint && error.kind() != ErrorKind::data) throw;
  }
  if (peak.bytes() > test::memory_bound(size)) {
    std::fprintf(stderr, "a file of %zu bytes took %zu bytes of memory\n", size, peak.bytes());
    std::abort();
  }
  return 0;
}

}  // namespace microemo::fuzz

#define MICROEMO_FUZZ_TARGET(open_file)                                      \
  extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) { \
    return ::microemo::fuzz::run(bytes, size, open_file);                    \
  }
