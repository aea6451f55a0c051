#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

namespace microemo::media {

/// A call of a decoder or of a container's reader that lasts for so many stall limits (ReadLimits::stall_seconds) hangs: the
/// limit itself is only asked between calls, and while bytes are waited for.
inline constexpr double hang_stalls = 5;

/// Whether a thread is inside a call that may hang, as another thread sees it.
class Pulse {
 public:
  void enter() { ++count_; }
  void leave() { ++count_; }
  /// A number for each call; 0 outside of calls.
  uint64_t call() const {
    const uint64_t count = count_;
    return count % 2 == 1 ? count : 0;
  }

 private:
  std::atomic<uint64_t> count_{0};
};

/// For how many looks in a row a thread was in one and the same call.
class Stay {
 public:
  int look(const Pulse& pulse) {
    const uint64_t call = pulse.call();
    looks_ = call != 0 && call == call_ ? looks_ + 1 : 0;
    call_ = call;
    return looks_;
  }

 private:
  uint64_t call_ = 0;
  int looks_ = 0;
};

/// Looks, from a thread of its own, whether the thread that made it hangs in a reader of this room, which nothing can end: no
/// exception comes out of such a call. One at a time for each thread; destroyed by the thread that made it.
class HangGuard {
 public:
  /// Calls on_hang once a call has lasted for `limit_s`, and again about every twentieth of that while it goes on, on the guard's
  /// thread. Time in which the whole process is stopped does not count. on_hang must not throw.
  HangGuard(double limit_s, std::function<void()> on_hang);
  ~HangGuard();
  HangGuard(const HangGuard&) = delete;
  HangGuard& operator=(const HangGuard&) = delete;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace microemo::media
