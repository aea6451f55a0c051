#pragma once
#include <cstdint>
#include <functional>
#include <future>
#include <vector>

#include "microemo/model/clip_batch.h"

namespace microemo::train {

/// Makes the batches of the next step while this one is computed, on a thread of its own; what it throws is thrown by take(). The
/// function has to be a pure one of the step. One thread at a time.
class BatchesAhead {
 public:
  using Make = std::function<std::vector<model::ClipBatch>(int64_t step)>;

  /// Without `ahead`, batches are made when they are taken.
  BatchesAhead(Make make, bool ahead) : make_(std::move(make)), ahead_(ahead) {}
  ~BatchesAhead();
  BatchesAhead(const BatchesAhead&) = delete;
  BatchesAhead& operator=(const BatchesAhead&) = delete;

  /// `follows`: the step after this one will be asked for next.
  std::vector<model::ClipBatch> take(int64_t step, bool follows);

 private:
  Make make_;
  bool ahead_;
  int64_t next_step_ = -1;
  std::future<std::vector<model::ClipBatch>> next_;
};

}  // namespace microemo::train
