#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "microemo/train/step.h"

namespace microemo::train {

/// What one part of the model costs, by its top-level module: seconds of all micro-batches of a step, megabytes of 10^6 bytes.
struct PartCost {
  std::string part;
  int64_t trainable = 0, frozen = 0;  ///< parameters
  double weights_mb = 0;              ///< parameters and buffers as they lie in the memory of this rank
  double states_mb = 0;               ///< gradients and both means of AdamW
  double forward_s = 0, backward_s = 0;
  double kept_mb = 0;  ///< what forward leaves for backward, of the largest micro-batch; 0 where the allocator does not tell
};

/// Runs forward and backward of the micro-batches once and clears the gradients. A part's time is that of the ranges that
/// MicroEmo names after it, and of the backward of what was recorded inside them. What belongs to no part is the last row,
/// "other". CPU, one process; the calling thread.
std::vector<PartCost> cost_of_parts(const Task& task, const std::vector<model::ClipBatch>& batches);

/// As a text table, with their sum.
std::string cost_table(const std::vector<PartCost>& parts);

}  // namespace microemo::train
