#include "microemo/nn/linear.h"

#include <algorithm>

#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/zeros.h>

#include "microemo/base/error.h"
#include "microemo/nn/fused.h"

// Shapes: N rows, i and o widths of input and output.

namespace microemo::nn {
namespace {

std::vector<int64_t> shape_of(const at::Tensor& x, int64_t width) {
  std::vector<int64_t> shape = x.sizes().vec();
  shape.back() = width;
  return shape;
}

}  // namespace

Linear::Linear(int64_t in, int64_t out, bool bias) {
  weight_ = register_parameter("weight", at::empty({out, in}));
  if (bias) bias_ = register_parameter("bias", at::empty({out}));
}

// In two dimensions, as what is added in place to a view costs a copy of its gradient.
at::Tensor Linear::rows(const at::Tensor& x, const DropoutKeys& keys) const {
  const at::Tensor x_Ni = x.reshape({-1, x.size(-1)}), y_No = at::linear(x_Ni, weight_, bias_);
  if (!has_lora()) return y_No;
  const at::Tensor adapted_Ni = lora_dropout_ > 0 && !keys.none() ? dropout(x, lora_dropout_, keys).view(x_Ni.sizes()) : x_Ni;
  return y_No.addmm_(at::linear(adapted_Ni, lora_a_), lora_b_.t(), /*beta=*/1, /*alpha=*/lora_scale_);
}

at::Tensor Linear::forward(const at::Tensor& x, const DropoutKeys& keys) const {
  return rows(x, keys).view(shape_of(x, weight_.size(0)));
}

at::Tensor Linear::add_to(const at::Tensor& sum, const at::Tensor& x, const DropoutKeys& keys) const {
  const at::Tensor y_No = rows(x, keys);
  return y_No.add_(sum.reshape({-1, y_No.size(1)})).view(sum.sizes());
}

void Linear::attach_lora(int64_t rank, double alpha, double dropout) {
  const int64_t largest = std::min(weight_.size(0), weight_.size(1));
  if (rank < 1 || rank > largest)
    throw ConfigError("a LoRA rank of {} does not fit a projection of {} x {}", rank, weight_.size(0), weight_.size(1))
        .hint(fmt::format("choose lora.rank between 1 and {}", largest));
  lora_a_ = register_parameter("lora_A", at::empty({rank, weight_.size(1)}, weight_.options().requires_grad(false)));
  lora_b_ = register_parameter("lora_B", at::zeros({weight_.size(0), rank}, weight_.options().requires_grad(false)));
  lora_scale_ = alpha / double(rank);
  lora_dropout_ = dropout;
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

at::Tensor RmsNorm::forward(const at::Tensor& x) const { return rms_norm(x, weight_, eps_); }

}  // namespace microemo::nn
