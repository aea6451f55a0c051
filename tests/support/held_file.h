#pragma once
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <filesystem>

namespace microemo::test {

/// A file that others can look at and not open: open() waits, as on a disk that does not answer, until release(). It holds a
/// lease, which the kernel breaks by itself only after /proc/sys/fs/lease-break-time, 45 s where nobody changed it.
class HeldFile {
 public:
  explicit HeldFile(const std::filesystem::path& path) : descriptor_(::open(path.c_str(), O_RDWR | O_CLOEXEC)) {
    // The kernel announces with it that somebody waits.
    ::signal(SIGIO, SIG_IGN);
    held_ = descriptor_ >= 0 && ::fcntl(descriptor_, F_SETLEASE, F_WRLCK) == 0;
  }
  ~HeldFile() {
    release();
    ::close(descriptor_);
  }
  HeldFile(const HeldFile&) = delete;
  HeldFile& operator=(const HeldFile&) = delete;

  /// False on file systems without leases.
  bool is_held() const { return held_; }
  void release() {
    if (held_.exchange(false)) ::fcntl(descriptor_, F_SETLEASE, F_UNLCK);
  }

 private:
  int descriptor_;
  std::atomic<bool> held_{false};
};

}  // namespace microemo::test
