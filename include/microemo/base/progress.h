#pragma once
#include <cstdint>
#include <memory>
#include <string>

namespace microemo {

/// What one progress line says.
struct ProgressFacts {
  std::string label, unit;
  int64_t total = 0;    ///< 0 when unknown
  int64_t done = 0;     ///< with what was skipped
  int64_t skipped = 0;  ///< was already there
  double seconds = 0;
  std::string note{};
};

/// "prepare   40%  4/10 clips  2.0/s  0:02, left 0:03  note".
std::string progress_text(const ProgressFacts& facts);

/// Minutes and seconds, "2:05", with hours from one on, "1:02:05".
std::string duration_text(double seconds);

/// Progress of long work: on a terminal one bar that is redrawn, elsewhere a plain line at most every 10 s and one at the end;
/// done, total, speed and time left. Silent until show_progress(true). Thread-safe: several workers may call `add`.
class Progress {
 public:
  /// `label` is what is done ("prepare"), `unit` is counted ("clips"); total 0 when unknown.
  Progress(std::string label, std::string unit, int64_t total);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// `note` replaces the text at the end of the line ("loss 1.234") when not empty.
  void add(int64_t count = 1, const std::string& note = {});
  /// Work that was already there (a resumed run): counted as done, not into the speed.
  void skip(int64_t count);
  /// Draws the last state and ends the line; the destructor calls it.
  void finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Switches progress on for the process (the command line does, unless --quiet).
void show_progress(bool on);

}  // namespace microemo
