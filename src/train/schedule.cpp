#include "microemo/train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace microemo::train {
namespace {

/// Of the last iteration of a step, which is the one whose rate the optimizer sees.
double lavis_rate(const TrainOptions& options, int64_t step) {
  const LavisOptions& o = options.lavis;
  const int64_t steps_of_epoch = std::max<int64_t>(1, o.iterations_per_epoch / o.iterations_per_step);
  const int64_t in_epoch = (step % steps_of_epoch + 1) * o.iterations_per_step - 1;
  const int64_t iteration = (o.first_epoch + step / steps_of_epoch) * o.iterations_per_epoch + in_epoch;
  const double highest = options.learning_rate;
  if (iteration < options.warmup_steps) {
    const double risen = static_cast<double>(in_epoch) / static_cast<double>(options.warmup_steps);
    return std::min(highest, o.warmup_rate + (highest - o.warmup_rate) * risen);
  }
  const double progress = static_cast<double>(iteration) / static_cast<double>(options.steps * o.iterations_per_step);
  return (highest - o.lowest_rate) * (1 + std::cos(std::numbers::pi * progress)) / 2 + o.lowest_rate;
}

}  // namespace

double learning_rate(const TrainOptions& options, int64_t step) {
  if (options.schedule == Schedule::lavis) return lavis_rate(options, step);
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
