#include "microemo/train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace microemo::train {

double learning_rate(const TrainOptions& options, int64_t step) {
  const double highest = options.learning_rate;
  if (step < options.warmup_steps) return highest * static_cast<double>(step + 1) / static_cast<double>(options.warmup_steps);
  const int64_t falling = std::max<int64_t>(1, options.steps - options.warmup_steps);
  const double progress = std::min(1.0, static_cast<double>(step - options.warmup_steps) / static_cast<double>(falling));
  double left = 1;
  if (options.schedule == Schedule::cosine) left = (1 + std::cos(std::numbers::pi * progress)) / 2;
  if (options.schedule == Schedule::linear) left = 1 - progress;
  if (options.schedule == Schedule::constant) return highest;
  return highest * (options.final_fraction + (1 - options.final_fraction) * left);
}

}  // namespace microemo::train
