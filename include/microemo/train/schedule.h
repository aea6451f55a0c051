#pragma once
#include <cstdint>

#include "microemo/train/options.h"

namespace microemo::train {

/// Learning rate of a step (from 0): (step + 1) / warmup_steps of the highest during the warm-up, then along the schedule to
/// final_fraction of it at `steps` (cosine: Loshchilov and Hutter 2017, eq. 5, without restarts).
///
/// The schedule lavis follows linear_warmup_cosine_lr of LAVIS' runner, of which a step sees the rate of its last iteration. With
/// t iterations before it in the run, counted as if first_epoch epochs had gone before, and i of them in its epoch: below
/// warmup_steps, warmup_rate + (learning_rate - warmup_rate) i / warmup_steps, at most learning_rate; then lowest_rate +
/// (learning_rate - lowest_rate) (1 + cos(pi t / T)) / 2, T iterations in all steps.
double learning_rate(const TrainOptions& options, int64_t step);

}  // namespace microemo::train
