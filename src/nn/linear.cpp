#include "microemo/nn/linear.h"

#include <algorithm>
#include <utility>

#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/zeros.h>

#include "microemo/base/error.h"
#include "microemo/nn/absent.h"
#include "microemo/nn/fused.h"

// Shapes: N rows, i and o widths of input and output.

namespace microemo::nn {
namespace {

/// A parameter, rounded where what it is computed with has fewer bits; gradients come back to it in its own type.
at::Tensor in_type_of(const at::Tensor& x, const at::Tensor& parameter) {
  return parameter.defined() && parameter.scalar_type() != x.scalar_type() ? parameter.to(x.scalar_type()) : parameter;
}

thread_local bool without_weights = false;

/// The structure alone of an absent weight.
FrozenWeight frozen_structure(const at::Tensor& weight_oi, FrozenDtype kind) {
  FrozenWeight frozen = frozen_weight(at::empty(weight_oi.sizes(), at::kMeta), kind);
  frozen.values = absent(frozen.values.sizes(), frozen.values.scalar_type());
  if (frozen.scales.defined()) frozen.scales = absent(frozen.scales.sizes(), frozen.scales.scalar_type());
  return frozen;
}

std::vector<int64_t> shape_of(const at::Tensor& x, int64_t width) {
  std::vector<int64_t> shape = x.sizes().vec();
  shape.back() = width;
  return shape;
}

}  // namespace

LinearsWithoutWeights::LinearsWithoutWeights() : before_(std::exchange(without_weights, true)) {}
LinearsWithoutWeights::~LinearsWithoutWeights() { without_weights = before_; }

Linear::Linear(int64_t in, int64_t out, bool bias) : in_(in), out_(out) {
  weight_ = register_parameter("weight", without_weights ? absent({out, in}) : at::empty({out, in}));
  if (bias) bias_ = register_parameter("bias", at::empty({out}));
}

at::Tensor Linear::product(const at::Tensor& x_Ni) const {
  const at::Tensor bias_o = in_type_of(x_Ni, bias_);
  if (kind_ == FrozenDtype::fp32) return at::linear(x_Ni, in_type_of(x_Ni, weight_), bias_o);
  const at::Tensor y_No = frozen_product(x_Ni, {kind_, weight_, weight_scales_, out_, in_});
  return bias_o.defined() ? y_No + bias_o : y_No;
}

void Linear::freeze(FrozenDtype kind) {
  MICROEMO_CHECK(!weight_.requires_grad(), "a weight that is trained cannot be frozen");
  MICROEMO_CHECK(kind == kind_ || kind_ == FrozenDtype::fp32, "a weight that is frozen cannot be frozen otherwise");
  if (kind == kind_) return;
  const FrozenWeight frozen = is_absent(weight_) ? frozen_structure(weight_, kind) : frozen_weight(weight_.detach(), kind);
  parameters_["weight"] = weight_ = frozen.values;
  if (frozen.scales.defined()) weight_scales_ = register_buffer("weight_scales", frozen.scales);
  kind_ = kind;
}

void Linear::fill(const at::Tensor& weight_oi) {
  MICROEMO_CHECK(weight_oi.dim() == 2 && weight_oi.size(0) == out_ && weight_oi.size(1) == in_, "a matrix of another shape");
  const FrozenWeight given = frozen_weight(weight_oi.detach().to(at::kFloat), kind_);
  give_memory(weight_);
  weight_.detach().copy_(given.values);
  if (!given.scales.defined()) return;
  give_memory(weight_scales_);
  weight_scales_.copy_(given.scales);
}

// In two dimensions, as what is added in place to a view costs a copy of its gradient.
at::Tensor Linear::rows(const at::Tensor& x, const DropoutKeys& keys) const {
  const at::Tensor x_Ni = x.reshape({-1, x.size(-1)}), y_No = product(x_Ni);
  if (!has_lora()) return y_No;
  const at::Tensor adapted_Ni = lora_dropout_ > 0 && !keys.none() ? dropout(x, lora_dropout_, keys).view(x_Ni.sizes()) : x_Ni;
  const at::Tensor narrow_Nr = at::linear(adapted_Ni, in_type_of(x_Ni, lora_a_));
  return y_No.addmm_(narrow_Nr, in_type_of(x_Ni, lora_b_).t(), /*beta=*/1, /*alpha=*/lora_scale_);
}

at::Tensor Linear::forward(const at::Tensor& x, const DropoutKeys& keys) const { return rows(x, keys).view(shape_of(x, out_)); }

at::Tensor Linear::add_to(const at::Tensor& sum, const at::Tensor& x, const DropoutKeys& keys) const {
  const at::Tensor y_No = rows(x, keys);
  return y_No.add_(sum.reshape({-1, y_No.size(1)})).view(sum.sizes());
}

void Linear::attach_lora(int64_t rank, double alpha, double dropout) {
  const int64_t largest = std::min(out_, in_);
  if (rank < 1 || rank > largest)
    throw ConfigError("a LoRA rank of {} does not fit a projection of {} x {}", rank, out_, in_)
        .hint(fmt::format("choose lora.rank between 1 and {}", largest));
  lora_a_ = register_parameter(
      "lora_A",
      at::empty({rank, in_},
                weight_.options().dtype(kind_ == FrozenDtype::fp32 ? weight_.scalar_type() : at::kFloat).requires_grad(false)));
  lora_b_ = register_parameter(
      "lora_B",
      at::zeros({out_, rank},
                weight_.options().dtype(kind_ == FrozenDtype::fp32 ? weight_.scalar_type() : at::kFloat).requires_grad(false)));
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

at::Tensor LayerNorm::forward(const at::Tensor& x) const {
  return at::layer_norm(x, {weight_.size(0)}, in_type_of(x, weight_), in_type_of(x, bias_), eps_);
}

RmsNorm::RmsNorm(int64_t width, double eps) : eps_(eps) { weight_ = register_parameter("weight", at::empty({width})); }

at::Tensor RmsNorm::forward(const at::Tensor& x) const { return rms_norm(x, in_type_of(x, weight_), eps_); }

}  // namespace microemo::nn
