#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include "microemo/nn/attention.h"

// Shapes: n pictures, P patches, C width.

namespace microemo::model {

struct VitShape {
  int64_t channels = 3, picture_height = 64, picture_width = 112;
  int64_t patch = 16, width = 64, layers = 1, heads = 4;
};

/// Vision transformer (Dosovitskiy et al. 2021): square patches through one linear layer, learned positions, pre-norm blocks and
/// a last norm. No class token: what follows reads the patches. Throws Error(config) when the patch does not divide the picture.
class Vit : public torch::nn::Module {
 public:
  explicit Vit(const VitShape& shape);
  /// pictures [n, channels, picture_height, picture_width] float -> [n, P, C], patches row by row.
  at::Tensor forward(const at::Tensor& pictures_nCHW) const;
  int64_t patches() const { return (shape_.picture_height / shape_.patch) * (shape_.picture_width / shape_.patch); }

 private:
  VitShape shape_;
  std::shared_ptr<nn::Linear> patch_embedding_;
  at::Tensor position_;
  std::vector<std::shared_ptr<nn::TransformerBlock>> blocks_;
  std::shared_ptr<nn::LayerNorm> norm_;
};

}  // namespace microemo::model
