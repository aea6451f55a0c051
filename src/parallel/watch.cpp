#include "microemo/parallel/watch.h"

#include <algorithm>
#include <array>

#include <fmt/ranges.h>

#include "microemo/base/json.h"

namespace microemo::parallel {
namespace {

constexpr std::array phase_names = {"start", "first step", "step", "validation", "checkpoint"};

/// Missed beats after which a rank counts as silent: one or two are late on a busy machine.
constexpr double missed_beats = 3;

}  // namespace

double RankOptions::limit_s(Phase phase) const {
  const std::array limits = {start_limit_s, first_step_limit_s, step_limit_s, validation_limit_s, checkpoint_limit_s};
  return limits[static_cast<size_t>(phase)];
}

double RankOptions::timeout_s() const {
  const double longest = std::max({start_limit_s, first_step_limit_s, step_limit_s, validation_limit_s, checkpoint_limit_s});
  return 1.5 * longest + 60;
}

const char* phase_name(Phase phase) { return phase_names[static_cast<size_t>(phase)]; }

std::string beat_text(const Beat& beat) {
  return Json{{"number", beat.number},   {"step", beat.step},       {"phase", static_cast<int>(beat.phase)},
              {"waiting", beat.waiting}, {"phase_s", beat.phase_s}, {"limit_s", beat.limit_s},
              {"beat_s", beat.beat_s}}
      .dump();
}

std::optional<Beat> parse_beat(const std::string& text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return std::nullopt;
  const int64_t phase = json.value("phase", int64_t{-1});
  if (phase < 0 || phase >= static_cast<int64_t>(phase_names.size())) return std::nullopt;
  Beat beat;
  beat.number = json.value("number", int64_t{0});
  beat.step = json.value("step", int64_t{0});
  beat.phase = static_cast<Phase>(phase);
  beat.waiting = json.value("waiting", false);
  beat.phase_s = json.value("phase_s", 0.0);
  beat.limit_s = json.value("limit_s", 0.0);
  beat.beat_s = json.value("beat_s", 0.0);
  return beat;
}

struct Watch::State {
  bool known = false, late = false, silent = false, waiting = false;
  double phase_s = 0, silent_s = 0;
};

void Watch::see(int64_t rank, const Beat& beat, double now_s) {
  Rank& known = ranks_.at(static_cast<size_t>(rank));
  if (known.beat && known.beat->number == beat.number) return;
  known.beat = beat;
  known.seen_s = now_s;
}

void Watch::ended(int64_t rank) { ranks_.at(static_cast<size_t>(rank)).ended = true; }

std::string Watch::last_of(int64_t rank) const {
  const std::optional<Beat>& beat = ranks_.at(static_cast<size_t>(rank)).beat;
  if (!beat) return "before its first sign of life";
  return fmt::format("in step {}, phase {}", beat->step, phase_name(beat->phase));
}

int64_t Watch::last_step() const {
  int64_t step = 0;
  for (const Rank& rank : ranks_)
    if (rank.beat) step = std::max(step, rank.beat->step);
  return step;
}

Watch::State Watch::state_of(int64_t rank, double now_s) const {
  const Rank& known = ranks_.at(static_cast<size_t>(rank));
  if (!known.beat || known.ended) return {};
  State state{.known = true};
  state.silent_s = now_s - known.seen_s;
  state.silent = state.silent_s > missed_beats * known.beat->beat_s;
  state.phase_s = known.beat->phase_s + state.silent_s;
  state.late = state.phase_s > known.beat->limit_s;
  state.waiting = known.beat->waiting && !state.silent;
  return state;
}

std::optional<std::string> Watch::verdict(double now_s) const {
  std::vector<std::string> hanging, waiting, silent;
  bool others_at_work = false;
  for (int64_t rank = 0; rank < static_cast<int64_t>(ranks_.size()); ++rank) {
    const State state = state_of(rank, now_s);
    if (!state.known) continue;
    const Beat& beat = *ranks_[static_cast<size_t>(rank)].beat;
    std::string text = fmt::format("rank {} {} for {:.0f} s (limit {:.0f} s)", rank, last_of(rank), state.phase_s, beat.limit_s);
    if (state.silent) text += fmt::format(", silent for {:.0f} s", state.silent_s);
    if (state.late && !state.waiting) hanging.push_back(text);
    if (state.late && state.waiting) waiting.push_back(text);
    if (!state.late && state.silent) silent.push_back(text);
    others_at_work |= !state.late && !state.silent;
  }
  if (!hanging.empty()) return fmt::format("hangs: {}", fmt::join(hanging, "; "));
  if (waiting.empty() || others_at_work) return std::nullopt;
  // What a silent rank last told of its phase may be out of date.
  if (!silent.empty()) return fmt::format("hangs: {}", fmt::join(silent, "; "));
  return fmt::format("all wait for each other: {}", fmt::join(waiting, "; "));
}

}  // namespace microemo::parallel
