#include "microemo/base/progress.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <mutex>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "console.h"

namespace microemo {
namespace {

using Clock = std::chrono::steady_clock;

std::atomic<bool> progress_on{false};

}  // namespace

std::string duration_text(double seconds) {
  const auto whole = static_cast<int64_t>(std::lround(seconds));
  if (whole < 3600) return fmt::format("{}:{:02}", whole / 60, whole % 60);
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

std::string progress_text(const ProgressFacts& facts) {
  std::string text = facts.label + "  ";
  if (facts.total > 0) {
    const double part = std::min(1.0, static_cast<double>(facts.done) / static_cast<double>(facts.total));
    text += fmt::format("{:3.0f}%  {}/{} {}", std::floor(100.0 * part), facts.done, facts.total, facts.unit);
  } else {
    text += fmt::format("{} {}", facts.done, facts.unit);
  }
  const int64_t fresh = facts.done - facts.skipped;
  const double speed = facts.seconds > 0 ? static_cast<double>(fresh) / facts.seconds : 0.0;
  if (speed > 0) text += speed >= 1 ? fmt::format("  {:.1f}/s", speed) : fmt::format("  {:.1f} s each", 1 / speed);
  text += "  " + duration_text(facts.seconds);
  if (speed > 0 && facts.total > facts.done)
    text += ", left " + duration_text(static_cast<double>(facts.total - facts.done) / speed);
  if (!facts.note.empty()) text += "  " + facts.note;
  return text;
}

struct Progress::State {
  std::mutex mutex;
  ProgressFacts facts;
  bool terminal = console_is_terminal();
  bool finished = false;
  Clock::time_point start = Clock::now();
  std::optional<Clock::time_point> drawn;

  double seconds_since(Clock::time_point then) const { return std::chrono::duration<double>(Clock::now() - then).count(); }

  void draw() {
    facts.seconds = seconds_since(start);
    drawn = Clock::now();
    if (terminal)
      console_bar(progress_text(facts));
    else
      console_line(progress_text(facts));
  }

  void draw_when_due() {
    const double pause_s = terminal ? 0.1 : 10.0;
    if (progress_on && seconds_since(drawn.value_or(start)) >= pause_s) draw();
  }
};

Progress::Progress(std::string label, std::string unit, int64_t total) : state_(std::make_unique<State>()) {
  state_->facts = {.label = std::move(label), .unit = std::move(unit), .total = total};
}

Progress::~Progress() { finish(); }

void Progress::add(int64_t count, const std::string& note) {
  const std::lock_guard lock(state_->mutex);
  state_->facts.done += count;
  if (!note.empty()) state_->facts.note = note;
  state_->draw_when_due();
}

void Progress::skip(int64_t count) {
  const std::lock_guard lock(state_->mutex);
  state_->facts.done += count;
  state_->facts.skipped += count;
  state_->draw_when_due();
}

void Progress::finish() {
  const std::lock_guard lock(state_->mutex);
  if (std::exchange(state_->finished, true) || !progress_on) return;
  state_->draw();
  if (state_->terminal) console_end_bar();
}

void show_progress(bool on) { progress_on = on; }

}  // namespace microemo
