#pragma once
#include <cstdint>

#include "microemo/train/options.h"

namespace microemo::train {

/// Learning rate of a step (from 0): (step + 1) / warmup_steps of the highest during the warm-up, then along the schedule to
/// final_fraction of it at `steps` (cosine: Loshchilov and Hutter 2017, eq. 5, without restarts).
double learning_rate(const TrainOptions& options, int64_t step);

}  // namespace microemo::train
