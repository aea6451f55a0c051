#include "microemo/nn/linear.h"

#include <algorithm>

#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/rms_norm.h>
#include <ATen/ops/zeros.h>

#include "microemo/base/error.h"

namespace microemo::nn {

Linear::Linear(int64_t in, int64_t out, bool bias) {
  weight_ = register_parameter("weight", at::empty({out, in}));
  if (bias) bias_ = register_parameter("bias", at::empty({out}));
}

at::Tensor Linear::forward(const at::Tensor& x) const {
  const at::Tensor y = at::linear(x, weight_, bias_);
  if (!has_lora()) return y;
  return y + lora_scale_ * at::linear(at::linear(x, lora_a_), lora_b_);
}

void Linear::attach_lora(int64_t rank, double alpha) {
  const int64_t largest = std::min(weight_.size(0), weight_.size(1));
  if (rank < 1 || rank > largest)
    throw ConfigError("a LoRA rank of {} does not fit a projection of {} x {}", rank, weight_.size(0), weight_.size(1))
        .hint(fmt::format("choose lora.rank between 1 and {}", largest));
  lora_a_ = register_parameter("lora_A", at::empty({rank, weight_.size(1)}, weight_.options().requires_grad(false)));
  lora_b_ = register_parameter("lora_B", at::zeros({weight_.size(0), rank}, weight_.options().requires_grad(false)));
  lora_scale_ = alpha / double(rank);
}

Embedding::Embedding(int64_t count, int64_t width, int64_t padding) : padding_(padding) {
  weight_ = register_parameter("weight", at::empty({count, width}));
}

at::Tensor Embedding::forward(const at::Tensor& ids) const { return at::embedding(weight_, ids, padding_); }

LayerNorm::LayerNorm(int64_t width, double eps) : eps_(eps) {
  weight_ = register_parameter("weight", at::empty({width}));
  bias_ = register_parameter("bias", at::empty({width}));
}

at::Tensor LayerNorm::forward(const at::Tensor& x) const { return at::layer_norm(x, {weight_.size(0)}, weight_, bias_, eps_); }

RmsNorm::RmsNorm(int64_t width, double eps) : eps_(eps) { weight_ = register_parameter("weight", at::empty({width})); }

at::Tensor RmsNorm::forward(const at::Tensor& x) const { return at::rms_norm(x, {weight_.size(0)}, weight_, eps_); }

}  // namespace microemo::nn
