#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include "microemo/nn/attention.h"
#include "microemo/nn/replay.h"

// Shapes: n pictures, P patches, S tokens (the class token, if there is one, and the patches), C width.

namespace microemo::model {

/// The defaults are our own encoder; hf_vision.h has the public ones.
struct VitShape {
  int64_t channels = 3, picture_height = 64, picture_width = 112;
  int64_t patch = 16, width = 64, layers = 1, heads = 4;
  int64_t hidden = 0;        ///< width inside the MLPs; 0: 4 width
  int64_t projection = 0;    ///< width of the class token's projection; 0: none
  bool class_token = false;  ///< a learned token in front of the patches
  bool patch_bias = true;    ///< the patch embedding has a bias
  bool query_value_bias = true, key_bias = true;
  bool input_norm = false;     ///< a norm goes before the blocks, as in CLIP
  bool output_norm = true;     ///< and one behind them
  double norm_epsilon = 1e-6;  ///< of all norms but the last
  double output_norm_epsilon = 1e-6;
  nn::Activation activation = nn::Activation::gelu;
};

/// Vision transformer (Dosovitskiy et al. 2021): square patches through one linear layer, learned positions, pre-norm blocks and
/// a last norm. Throws Error(config) when the patch does not divide the picture.
class Vit : public torch::nn::Module {
 public:
  explicit Vit(const VitShape& shape);
  /// pictures [n, channels, picture_height, picture_width] float -> [n, S, C] after the last norm, patches row by row. Throws
  /// Error(internal) for pictures of another size. `states` gets what enters each block and what leaves the last one, before the
  /// last norm, each [n, S, C].
  at::Tensor forward(const at::Tensor& pictures_nCHW, std::vector<at::Tensor>* states = nullptr) const;
  /// The class token after the last norm and, where there is one, the projection: [n, projection] (CLIP's image features).
  at::Tensor features(const at::Tensor& pictures_nCHW) const;
  /// Whether backward computes the blocks again instead of keeping what they need (nn/recompute.h).
  void recompute_blocks(bool recompute) { recompute_ = recompute; }
  /// The type that everything is computed in, fp32 or bf16 (see Decoder::compute_in); what comes out is fp32. Unless it is set,
  /// that of the pictures.
  void compute_in(at::ScalarType type) { compute_type_ = type; }
  /// On a GPU, pictures of a number that comes again go through a recorded graph (nn::Replay), as long as nothing here is
  /// trained.
  void replay_shapes() { replay_ = std::make_shared<nn::Replay>(); }
  int64_t patches() const { return (shape_.picture_height / shape_.patch) * (shape_.picture_width / shape_.patch); }
  const VitShape& shape() const { return shape_; }

 private:
  at::Tensor embed(const at::Tensor& pictures_nCHW) const;
  at::Tensor hidden(const at::Tensor& pictures_nCHW, std::vector<at::Tensor>* states) const;
  at::Tensor normed(const at::Tensor& x) const { return norm_ ? norm_->forward(x) : x; }
  at::Tensor out(const at::Tensor& x) const { return compute_type_ ? x.to(at::kFloat) : x; }

  VitShape shape_;
  std::optional<at::ScalarType> compute_type_;
  std::shared_ptr<nn::Replay> replay_;
  bool recompute_ = false;
  std::shared_ptr<nn::Linear> patch_embedding_, projection_;
  at::Tensor class_, position_;
  std::vector<std::shared_ptr<nn::TransformerBlock>> blocks_;
  std::shared_ptr<nn::LayerNorm> input_norm_, norm_;
};

}  // namespace microemo::model
