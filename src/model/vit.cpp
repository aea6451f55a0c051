#include "microemo/model/vit.h"

#include <algorithm>

#include <fmt/ranges.h>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>

#include "microemo/base/error.h"
#include "microemo/nn/recompute.h"

namespace microemo::model {
namespace {

nn::BlockOptions block_options(const VitShape& shape) {
  return {.attention = {.width = shape.width,
                        .heads = shape.heads,
                        .query_bias = shape.query_value_bias,
                        .key_bias = shape.key_bias,
                        .value_bias = shape.query_value_bias},
          .hidden = shape.hidden,
          .activation = shape.activation,
          .norm_epsilon = shape.norm_epsilon};
}

}  // namespace

Vit::Vit(const VitShape& shape) : shape_(shape) {
  if (shape.picture_height % shape.patch != 0 || shape.picture_width % shape.patch != 0)
    throw ConfigError("pictures of {} x {} cannot be cut into patches of {}", shape.picture_width, shape.picture_height,
                      shape.patch)
        .hint("choose a patch that divides width and height");
  patch_embedding_ = register_module(
      "patch_embedding", std::make_shared<nn::Linear>(shape.channels * shape.patch * shape.patch, shape.width, shape.patch_bias));
  if (shape.class_token) class_ = register_parameter("embedding_class", at::empty({shape.width}));
  position_ = register_parameter("position", at::empty({patches() + int64_t(shape.class_token), shape.width}));
  if (shape.input_norm)
    input_norm_ = register_module("input_norm", std::make_shared<nn::LayerNorm>(shape.width, shape.norm_epsilon));
  for (int64_t i = 0; i < shape.layers; ++i)
    blocks_.push_back(register_module("block" + std::to_string(i), std::make_shared<nn::TransformerBlock>(block_options(shape))));
  if (shape.output_norm) norm_ = register_module("norm", std::make_shared<nn::LayerNorm>(shape.width, shape.output_norm_epsilon));
  if (shape.projection > 0)
    projection_ = register_module("projection", std::make_shared<nn::Linear>(shape.width, shape.projection, /*bias=*/false));
}

at::Tensor Vit::embed(const at::Tensor& pictures_nCHW) const {
  MICROEMO_CHECK(pictures_nCHW.dim() == 4 && pictures_nCHW.sizes().slice(1) ==
                                                 at::IntArrayRef({shape_.channels, shape_.picture_height, shape_.picture_width}),
                 "pictures are [{}]; wanted: [n, {}, {}, {}]", fmt::join(pictures_nCHW.sizes(), ", "), shape_.channels,
                 shape_.picture_height, shape_.picture_width);
  const int64_t n = pictures_nCHW.size(0), rows = shape_.picture_height / shape_.patch,
                columns = shape_.picture_width / shape_.patch;
  const at::Tensor patches_nPF = pictures_nCHW.reshape({n, shape_.channels, rows, shape_.patch, columns, shape_.patch})
                                     .permute({0, 2, 4, 1, 3, 5})
                                     .reshape({n, rows * columns, shape_.channels * shape_.patch * shape_.patch});
  at::Tensor x_nSC = patch_embedding_->forward(compute_type_ ? patches_nPF.to(*compute_type_) : patches_nPF);
  const at::ScalarType type = x_nSC.scalar_type();
  if (class_.defined()) x_nSC = at::cat({class_.to(type).expand({n, 1, -1}), x_nSC}, 1);
  x_nSC = x_nSC + position_.to(type);
  return input_norm_ ? input_norm_->forward(x_nSC) : x_nSC;
}

at::Tensor Vit::hidden(const at::Tensor& pictures_nCHW, std::vector<at::Tensor>* states) const {
  at::Tensor x_nSC = embed(pictures_nCHW);
  for (const auto& block : blocks_) {
    if (states) states->push_back(x_nSC);
    x_nSC = recompute_ ? nn::recomputed([block](const at::Tensor& x) { return block->forward(x); }, x_nSC, block->parameters())
                       : block->forward(x_nSC);
  }
  if (states) states->push_back(x_nSC);
  return x_nSC;
}

at::Tensor Vit::forward(const at::Tensor& pictures_nCHW, std::vector<at::Tensor>* states) const {
  const auto work = [&](const at::Tensor& pictures) { return out(normed(hidden(pictures, states))); };
  return states ? work(pictures_nCHW) : nn::replayed(replay_, *this, pictures_nCHW, work);
}

at::Tensor Vit::features(const at::Tensor& pictures_nCHW) const {
  MICROEMO_CHECK(class_.defined(), "the features of a picture are those of the class token, and this encoder has none");
  return nn::replayed(replay_, *this, pictures_nCHW, [&](const at::Tensor& pictures) {
    const at::Tensor class_nC = normed(hidden(pictures, nullptr).select(1, 0));
    return out(projection_ ? projection_->forward(class_nC) : class_nC);
  });
}

}  // namespace microemo::model
