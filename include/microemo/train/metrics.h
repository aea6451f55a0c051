#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "microemo/report/event_file.h"
#include "microemo/train/step.h"

namespace microemo::train {

/// One line of metrics.jsonl. Values are those of the step itself, not means since the last line.
struct MetricsLine {
  int64_t step = 0;  ///< updates done, from 1
  StepResult result = {};
  double learning_rate = 0;
  double step_seconds = 0;                            ///< of this step
  double wait_seconds = 0;                            ///< of it, for its clips
  double memory_mb = 0;                               ///< of the process, or of a GPU what tensors take at most
  double seconds = 0;                                 ///< spent on steps since the start of the run, over all its interruptions
  std::map<std::string, double> validation = {};      ///< what it gave behind this step; empty without one
  std::map<std::string, double> gradient_norms = {};  ///< before clipping, by part of the model
  bool skipped = false;                               ///< the weights stayed as they were (train.non_finite)
  std::string weights = {};                           ///< SHA-256 of the trained ones behind the step; empty unless asked for
};

/// RUN/metrics.jsonl: one object a line,
/// {"step","loss","answer_loss","alignment_loss","movement_accuracy","valid_loss","valid_…","lr",
/// "grad_norm","grad_norm/PART","tokens_per_s","clips_per_s","seconds","skipped","weights"}, without what was not computed. A
/// line is written by one call to the system. The same numbers go into an event file of RUN/tensorboard.
class MetricsFile {
 public:
  /// Keeps the lines of the steps up to `last_step` and drops the others and a torn last line, so that a resumed run has each
  /// step once. Throws Error(environment).
  MetricsFile(const std::filesystem::path& path, int64_t last_step);
  ~MetricsFile();
  MetricsFile(const MetricsFile&) = delete;
  MetricsFile& operator=(const MetricsFile&) = delete;

  void write(const MetricsLine& line);
  /// Waits until the lines are on the disk: before a checkpoint that stands for them. Any thread, also while another writes.
  void sync();

 private:
  std::filesystem::path path_;
  report::EventFile events_;
  int descriptor_ = -1;
};

}  // namespace microemo::train
