#include "microemo/model/vit.h"

#include <ATen/ops/empty.h>

#include "microemo/base/error.h"

namespace microemo::model {

Vit::Vit(const VitShape& shape) : shape_(shape) {
  if (shape.picture_height % shape.patch != 0 || shape.picture_width % shape.patch != 0)
    throw ConfigError("pictures of {} x {} cannot be cut into patches of {}", shape.picture_width, shape.picture_height,
                      shape.patch)
        .hint("choose a patch that divides width and height");
  patch_embedding_ =
      register_module("patch_embedding", std::make_shared<nn::Linear>(shape.channels * shape.patch * shape.patch, shape.width));
  position_ = register_parameter("position", at::empty({patches(), shape.width}));
  for (int64_t i = 0; i < shape.layers; ++i)
    blocks_.push_back(
        register_module("block" + std::to_string(i), std::make_shared<nn::TransformerBlock>(shape.width, shape.heads)));
  norm_ = register_module("norm", std::make_shared<nn::LayerNorm>(shape.width));
}

at::Tensor Vit::forward(const at::Tensor& pictures_nCHW) const {
  const int64_t n = pictures_nCHW.size(0), rows = shape_.picture_height / shape_.patch,
                columns = shape_.picture_width / shape_.patch;
  const at::Tensor patches_nPF = pictures_nCHW.view({n, shape_.channels, rows, shape_.patch, columns, shape_.patch})
                                     .permute({0, 2, 4, 1, 3, 5})
                                     .reshape({n, rows * columns, shape_.channels * shape_.patch * shape_.patch});
  at::Tensor x_nPC = patch_embedding_->forward(patches_nPF) + position_;
  for (const auto& block : blocks_) x_nPC = block->forward(x_nPC);
  return norm_->forward(x_nPC);
}

}  // namespace microemo::model
