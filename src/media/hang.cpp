#include "microemo/media/hang.h"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <system_error>
#include <thread>

#include "in_call.h"
#include "microemo/base/error.h"

namespace microemo::media {
namespace {

constexpr int looks_of_limit = 20;

}  // namespace

Pulse*& pulse_of_thread() {
  thread_local Pulse* pulse = nullptr;
  return pulse;
}

struct HangGuard::State {
  Pulse pulse;
  std::mutex mutex;
  std::condition_variable_any wake;
  std::jthread looking;

  void look(const std::stop_token& stop, double limit_s, const std::function<void()>& on_hang) {
    const std::chrono::duration<double> interval(limit_s / looks_of_limit);
    Stay stay;
    std::unique_lock lock(mutex);
    while (!wake.wait_for(lock, stop, interval, [&] { return stop.stop_requested(); }))
      if (stay.look(pulse) >= looks_of_limit) on_hang();
  }
};

HangGuard::HangGuard(double limit_s, std::function<void()> on_hang) : state_(std::make_unique<State>()) {
  MICROEMO_CHECK(pulse_of_thread() == nullptr, "a second guard of one thread");
  try {
    state_->looking = std::jthread([state = state_.get(), limit_s, on_hang = std::move(on_hang)](const std::stop_token& stop) {
      state->look(stop, limit_s, on_hang);
    });
  } catch (const std::system_error& refused) {
    throw EnvironmentError("a thread that looks for hanging decoders cannot be started: {}", refused.what())
        .hint("raise the limit on processes");
  }
  pulse_of_thread() = &state_->pulse;
}

HangGuard::~HangGuard() { pulse_of_thread() = nullptr; }

}  // namespace microemo::media
