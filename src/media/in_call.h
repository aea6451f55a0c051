#pragma once
#include "microemo/media/hang.h"

namespace microemo::media {

/// That of the calling thread; null while no HangGuard looks at it.
Pulse*& pulse_of_thread();

/// The outcome of a call of libav, during which the thread's pulse says so.
template <class Call>
auto in_call(Call&& call) {
  Pulse* const pulse = pulse_of_thread();
  if (!pulse) return call();
  pulse->enter();
  const auto outcome = call();
  pulse->leave();
  return outcome;
}

}  // namespace microemo::media
