#pragma once
#include <memory>

#include "microemo/model/microemo.h"
#include "microemo/nn/linear.h"

namespace microemo::model {

/// Linear classifiers of the alignment stage: movement of each face token, movement and manner of voice of each utterance from
/// the mean of its tokens.
class AlignmentHeads : public torch::nn::Module {
 public:
  AlignmentHeads(const ModelOptions& options, const InputShapes& shapes);
  /// Appends the terms whose weight is above 0 and whose tokens exist in this model; the others have no parameters.
  void add_terms(const ClipBatch& batch, const MicroEmo::AlignmentInput& input, BatchLoss& loss) const;

 private:
  void add_movement(const ClipBatch& batch, const at::Tensor& faces_BNC, BatchLoss& loss) const;

  AlignmentLossOptions options_;
  at::Tensor movement_class_weights_;
  std::shared_ptr<nn::Linear> movement_, window_movement_, window_voice_;
};

}  // namespace microemo::model
