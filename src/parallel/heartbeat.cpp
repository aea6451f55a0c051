#include "heartbeat.h"

#include "key_server.h"
#include "store.h"

namespace microemo::parallel {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double store_answer_s = 20;

}  // namespace

Heartbeat::Heartbeat(const LaunchContext& context, const RankOptions& options, std::function<void(const std::string&)> on_verdict)
    : context_(context),
      options_(options),
      on_verdict_(std::move(on_verdict)),
      since_(Clock::now().time_since_epoch().count()),
      farewell_(farewell_ended) {
  thread_ = std::jthread([this] { run(); });
}

Heartbeat::~Heartbeat() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
}

bool Heartbeat::enter(Phase phase, int64_t step) {
  since_ = Clock::now().time_since_epoch().count();
  step_ = step;
  return phase_.exchange(phase) != phase;
}

Beat Heartbeat::now() {
  const Clock::time_point since{Clock::duration(since_.load())};
  const Phase phase = phase_;
  return {.number = ++number_,
          .step = step_,
          .phase = phase,
          .waiting = waiting_,
          .phase_s = std::chrono::duration<double>(Clock::now() - since).count(),
          .limit_s = options_.limit_s(phase),
          .beat_s = options_.beat_s};
}

bool Heartbeat::pause() {
  std::unique_lock lock(mutex_);
  return !wake_.wait_for(lock, std::chrono::duration<double>(options_.beat_s), [this] { return stopping_; });
}

void Heartbeat::say(const std::string& verdict) {
  if (on_verdict_) on_verdict_(verdict);
}

void Heartbeat::run() {
  try {
    const auto store = connect_member(context_, store_answer_s, key_of("left", context_.rank));
    for (;;) {
      set_text(*store, key_of("beat", context_.rank), beat_text(now()));
      // Without an answer a write tells nothing: after the host of the store died, writing still seems to work.
      if (store->check({verdict_key})) return say(get_text(*store, verdict_key));
      if (!pause()) return set_text(*store, key_of("left", context_.rank), farewell_.load());
    }
  } catch (const std::exception&) {
    const std::lock_guard lock(mutex_);
    if (stopping_ || !context_.watched) return;
  }
  say("the place where the ranks meet is gone");
}

}  // namespace microemo::parallel
