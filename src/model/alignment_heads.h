#pragma once
#include <memory>

#include "microemo/model/microemo.h"
#include "microemo/nn/linear.h"

namespace microemo::model {

/// Linear classifiers of the alignment stage: movement at each face token (each whole frame where there is no local branch),
/// movement and manner of voice of each utterance.
class AlignmentHeads : public torch::nn::Module {
 public:
  AlignmentHeads(const ModelOptions& options, const InputShapes& shapes);
  /// Appends the terms whose weight is above 0 and whose tokens exist in this model; the others have no parameters.
  void add_terms(const ClipBatch& batch, const MicroEmo::AlignmentInput& input, BatchLoss& loss) const;

 private:
  void add_movement(const ClipBatch& batch, const MicroEmo::AlignmentInput& input, BatchLoss& loss) const;

  AlignmentLossOptions options_;
  at::Tensor movement_class_weights_;
  std::shared_ptr<nn::Linear> movement_, window_movement_, window_voice_;
};

}  // namespace microemo::model
