#include "microemo/train/batches_ahead.h"

#include <ATen/Parallel.h>

namespace microemo::train {

BatchesAhead::~BatchesAhead() {
  if (next_.valid()) next_.wait();
}

std::vector<model::ClipBatch> BatchesAhead::take(int64_t step, bool follows) {
  std::vector<model::ClipBatch> batches;
  if (next_.valid() && next_step_ == step) {
    batches = next_.get();
  } else {
    if (next_.valid()) next_.wait();
    batches = make_(step);
  }
  if (!ahead_ || !follows) return batches;
  next_step_ = step + 1;
  next_ = std::async(std::launch::async, [this, wanted = next_step_] {
    at::set_num_threads(1);  // of this thread alone
    return make_(wanted);
  });
  return batches;
}

}  // namespace microemo::train
