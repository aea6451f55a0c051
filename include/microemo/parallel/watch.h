#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "microemo/parallel/options.h"

namespace microemo::parallel {

/// The word for a phase in messages: "first step", …
const char* phase_name(Phase phase);

/// A sign of life: what a rank was doing when it gave it.
struct Beat {
  int64_t number = 0;  ///< counts up; two equal ones are the same beat
  int64_t step = 0;    ///< the one at work, from 1
  Phase phase = Phase::start;
  bool waiting = false;             ///< for other ranks
  double phase_s = 0, limit_s = 0;  ///< seconds in this phase, and how many are allowed
  double beat_s = 0;                ///< seconds until the next beat
};
std::string beat_text(const Beat& beat);
/// Nothing when the text is none of beat_text.
std::optional<Beat> parse_beat(const std::string& text);

/// Watches the signs of life of all ranks. Times are seconds of the watcher's own clock; clocks of ranks are never compared. One
/// thread at a time.
class Watch {
 public:
  explicit Watch(int64_t world) : ranks_(static_cast<size_t>(world)) {}

  void see(int64_t rank, const Beat& beat, double now_s);
  /// It ended as it should and cannot hang any more.
  void ended(int64_t rank);
  /// "in step 41, phase step": the last that is known of a rank.
  std::string last_of(int64_t rank) const;
  int64_t last_step() const;

  /// One sentence that names the ranks that hang, with step and phase; nothing while none does. A rank hangs that is in a phase
  /// for longer than its limit; one that waits for others in good health does not, and when all wait too long, the silent ones
  /// among them are named, or else all. A rank that
  /// was never seen is not judged.
  std::optional<std::string> verdict(double now_s) const;

 private:
  struct Rank {
    std::optional<Beat> beat;
    double seen_s = 0;
    bool ended = false;
  };
  struct State;
  State state_of(int64_t rank, double now_s) const;

  std::vector<Rank> ranks_;
};

}  // namespace microemo::parallel
