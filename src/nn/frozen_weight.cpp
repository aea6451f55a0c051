#include "microemo/nn/frozen_weight.h"

#include <algorithm>
#include <cmath>

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

#include "device.h"
#include "microemo/base/error.h"
#include "microemo/base/formulas.h"

// Shapes: o and i output and input channels, N rows, n all numbers of a matrix, b blocks of 64 of them.

namespace microemo::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

constexpr int64_t block = formulas::nf4_block;
constexpr float int8_steps = 127;

constexpr int nf4_codes = 16;

uint8_t nearest_nf4(float x) {
  unsigned above = 0;
  while (above < nf4_codes && formulas::nf4_value(above) < x) ++above;
  if (above == 0) return 0;
  if (above == nf4_codes) return nf4_codes - 1;
  const bool lower = x - formulas::nf4_value(above - 1) <= formulas::nf4_value(above) - x;
  return static_cast<uint8_t>(lower ? above - 1 : above);
}

FrozenWeight as_int8(const at::Tensor& weight_oi) {
  if (weight_oi.is_meta())  // which has no abs
    return {FrozenDtype::int8, at::empty_like(weight_oi, at::kChar), weight_oi.select(1, 0), weight_oi.size(0),
            weight_oi.size(1)};
  const at::Tensor largest_o = weight_oi.abs().amax(1);
  const at::Tensor steps_oi = weight_oi * (int8_steps / largest_o.masked_fill(largest_o.eq(0), 1)).unsqueeze(1);
  return {FrozenDtype::int8, steps_oi.round().to(at::kChar), largest_o, weight_oi.size(0), weight_oi.size(1)};
}

FrozenWeight as_nf4(const at::Tensor& weight_oi) {
  const int64_t count = weight_oi.numel(), blocks = (count + block - 1) / block;
  FrozenWeight result{FrozenDtype::nf4, at::zeros({(count + 1) / 2}, at::kByte), at::empty({blocks}, at::kFloat),
                      weight_oi.size(0), weight_oi.size(1)};
  if (weight_oi.is_meta()) {
    result.values = result.values.to(at::kMeta);
    result.scales = result.scales.to(at::kMeta);
    return result;
  }
  const at::Tensor plain = weight_oi.to(at::kCPU).contiguous();
  const float* x = plain.const_data_ptr<float>();
  auto* packed = result.values.mutable_data_ptr<uint8_t>();
  for (int64_t b = 0; b < blocks; ++b) {
    const int64_t first = b * block, end = std::min(count, first + block);
    float largest = 0;
    for (int64_t n = first; n < end; ++n) largest = std::max(largest, std::abs(x[n]));
    result.scales.mutable_data_ptr<float>()[b] = largest;
    for (int64_t n = first; n < end; ++n) {
      const uint8_t code = nearest_nf4(largest > 0 ? x[n] / largest : 0);
      packed[n / 2] = static_cast<uint8_t>(packed[n / 2] | (n % 2 == 0 ? code << 4 : code));
    }
  }
  result.values = result.values.to(weight_oi.device());
  result.scales = result.scales.to(weight_oi.device());
  return result;
}

at::Tensor from_nf4(const FrozenWeight& weight, at::ScalarType type) {
  if (const MicroEmoKernels* kernels = kernels_for(weight.values)) {
    at::Tensor matrix_oi = at::empty({weight.out, weight.in}, weight.values.options().dtype(type));
    const MicroEmoThaw work{.packed = weight.values.const_data_ptr<uint8_t>(),
                            .scales = weight.scales.const_data_ptr<float>(),
                            .to = matrix_oi.mutable_data_ptr(),
                            .type = number_type(matrix_oi),
                            .count = matrix_oi.numel()};
    launched(kernels->thaw_nf4(&work), "thawing a matrix of NF4");
    return matrix_oi;
  }
  const at::Tensor values = weight.values.to(at::kCPU), scales = weight.scales.to(at::kCPU);
  at::Tensor matrix_oi = at::empty({weight.out, weight.in}, at::kFloat);
  const auto* packed = values.const_data_ptr<uint8_t>();
  const float* largest = scales.const_data_ptr<float>();
  float* x = matrix_oi.mutable_data_ptr<float>();
  const int64_t count = matrix_oi.numel();
  for (int64_t n = 0; n < count; ++n) x[n] = formulas::thawed_nf4(packed, largest, n);
  return matrix_oi.to(weight.values.device(), type);
}

/// Held by the graph as values and scales, which the module keeps anyway.
class FrozenProduct : public torch::autograd::Function<FrozenProduct> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x_Ni, const FrozenWeight& weight) {
    context->save_for_backward({weight.values, weight.scales});
    context->saved_data["kind"] = static_cast<int64_t>(weight.kind);
    context->saved_data["out"] = weight.out;
    context->saved_data["in"] = weight.in;
    return at::mm(x_Ni, thawed(weight, x_Ni.scalar_type()).t());
  }

  static tensor_list backward(AutogradContext* context, tensor_list gradient) {
    const tensor_list saved = context->get_saved_variables();
    const FrozenWeight weight{static_cast<FrozenDtype>(context->saved_data["kind"].toInt()), saved[0], saved[1],
                              context->saved_data["out"].toInt(), context->saved_data["in"].toInt()};
    return {at::mm(gradient[0], thawed(weight, gradient[0].scalar_type())), {}};
  }
};

}  // namespace

FrozenWeight frozen_weight(const at::Tensor& weight_oi, FrozenDtype kind) {
  MICROEMO_CHECK(weight_oi.dim() == 2 && weight_oi.scalar_type() == at::kFloat, "a frozen weight is made from an fp32 matrix");
  if (kind == FrozenDtype::int8) return as_int8(weight_oi);
  if (kind == FrozenDtype::nf4) return as_nf4(weight_oi);
  const auto dtype = kind == FrozenDtype::bf16 ? at::kBFloat16 : at::kFloat;
  return {kind, weight_oi.to(dtype), {}, weight_oi.size(0), weight_oi.size(1)};
}

at::Tensor thawed(const FrozenWeight& weight, at::ScalarType type) {
  if (weight.kind == FrozenDtype::nf4) return from_nf4(weight, type);
  if (weight.kind == FrozenDtype::int8)
    return weight.values.to(at::kFloat).mul_((weight.scales / int8_steps).unsqueeze(1)).to(type);
  return weight.values.to(type);
}

at::Tensor frozen_product(const at::Tensor& x_Ni, const FrozenWeight& weight) { return FrozenProduct::apply(x_Ni, weight); }

}  // namespace microemo::nn
