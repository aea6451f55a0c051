#include "microemo/nn/rotary.h"

#include <cmath>
#include <numbers>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/add.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/pow.h>
#include <torch/csrc/autograd/custom_function.h>

#include "device.h"
#include "eight.h"
#include "microemo/base/error.h"
#include "pieces.h"

// Shapes: B rows, H heads, L tokens, P positions, E width of a head, F its half.

namespace microemo::nn {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

at::Tensor scaled(const at::Tensor& frequencies, const RotaryScaling& scaling) {
  if (scaling.kind == RotaryScalingKind::none) return frequencies;
  const at::Tensor slow = frequencies / scaling.factor;
  if (scaling.kind == RotaryScalingKind::linear) return slow;
  const at::Tensor turns = frequencies * (double(scaling.original_tokens) / (2 * std::numbers::pi));
  const at::Tensor kept = ((turns - scaling.low) / (scaling.high - scaling.low)).clamp(0, 1);
  return (1 - kept) * slow + kept * frequencies;
}

/// One head: dimensions i and i + half turned by their angle.
void turn_head(const float* x, const float* cos, const float* sin, int64_t half, float sign, float* y) {
  for (int64_t i = 0; i < half; i += eight) {
    const Eight first = load(x + i), second = load(x + half + i), c = load(cos + i), s = load(sin + i) * sign;
    store(y + i, first * c - second * s);
    store(y + half + i, second * c + first * s);
  }
}

/// In one pass over memory; heads_BLHE contiguous, half of the width of a head a multiple of eight.
at::Tensor turned_plain(const at::Tensor& heads_BLHE, const at::Tensor& cos_LE, const at::Tensor& sin_LE, float sign) {
  const int64_t length = heads_BLHE.size(1), heads = heads_BLHE.size(2), width = heads_BLHE.size(3);
  const at::Tensor result_BLHE = at::empty_like(heads_BLHE);
  const float *x = heads_BLHE.const_data_ptr<float>(), *cos = cos_LE.const_data_ptr<float>(),
              *sin = sin_LE.const_data_ptr<float>();
  float* y = result_BLHE.mutable_data_ptr<float>();
  for_rows(heads_BLHE.view({-1, heads * width}), [=](int64_t first, int64_t end) {
    for (int64_t head = first * heads; head < end * heads; ++head) {
      const int64_t angles = head / heads % length * width;
      turn_head(x + head * width, cos + angles, sin + angles, width / 2, sign, y + head * width);
    }
  });
  return result_BLHE;
}

/// heads_BLHE contiguous, and the angles of its type.
at::Tensor turned_on_device(const MicroEmoKernels& kernels, const at::Tensor& heads_BLHE, const at::Tensor& cos_LE,
                            const at::Tensor& sin_LE, float sign) {
  const at::Tensor result_BLHE = at::empty_like(heads_BLHE), cosines_LE = cos_LE.contiguous(), sines_LE = sin_LE.contiguous();
  const MicroEmoRotary work{.from = heads_BLHE.const_data_ptr(),
                            .to = result_BLHE.mutable_data_ptr(),
                            .type = number_type(heads_BLHE),
                            .rows = heads_BLHE.size(0),
                            .length = heads_BLHE.size(1),
                            .heads = heads_BLHE.size(2),
                            .width = heads_BLHE.size(3),
                            .cosines = cosines_LE.const_data_ptr(),
                            .sines = sines_LE.const_data_ptr(),
                            .sign = sign};
  launched(kernels.rotary(&work), "rotary positions");
  return result_BLHE;
}

/// Dimensions i and i + E/2 turned by their angle, or back by it when `sign` is -1.
at::Tensor turned(const at::Tensor& heads_BHLE, const at::Tensor& cos_LE, const at::Tensor& sin_LE, int sign) {
  const int64_t half = heads_BHLE.size(3) / 2;
  const at::Tensor heads_BLHE = heads_BHLE.transpose(1, 2);
  if (is_plain(heads_BHLE) && half % eight == 0 && heads_BLHE.is_contiguous())
    return turned_plain(heads_BLHE, cos_LE, sin_LE, float(sign)).transpose(1, 2);
  if (const MicroEmoKernels* kernels = kernels_for(heads_BHLE); kernels && cos_LE.scalar_type() == heads_BHLE.scalar_type())
    return turned_on_device(*kernels, heads_BLHE.contiguous(), cos_LE, sin_LE, float(sign)).transpose(1, 2);
  const at::Tensor turned_BHLE = at::cat({-heads_BHLE.slice(3, half), heads_BHLE.slice(3, 0, half)}, 3);
  return at::add(heads_BHLE * cos_LE, turned_BHLE * sin_LE, sign);
}

/// The gradient of a turn is the turn back, so that nothing but the table is kept for it.
class Rotate : public torch::autograd::Function<Rotate> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& heads_BHLE, const at::Tensor& cos_LE,
                            const at::Tensor& sin_LE) {
    context->save_for_backward({cos_LE, sin_LE});
    return turned(heads_BHLE, cos_LE, sin_LE, 1);
  }
  static tensor_list backward(AutogradContext* context, tensor_list gradient) {
    const tensor_list saved = context->get_saved_variables();
    return {turned(gradient[0], saved[0], saved[1], -1), {}, {}};
  }
};

}  // namespace

RotaryTable rotary_table(int64_t positions, int64_t head_width, double theta, const RotaryScaling& scaling) {
  MICROEMO_CHECK(head_width % 2 == 0, "rotary positions need an even head width, not {}", head_width);
  const at::Tensor exponents = at::arange(0, head_width, 2, at::kFloat) / double(head_width);
  const at::Tensor frequencies = scaled(at::pow(theta, -exponents), scaling);
  const at::Tensor half_PF = at::outer(at::arange(positions, at::kFloat), frequencies),
                   angles_PE = at::cat({half_PF, half_PF}, 1);
  return {angles_PE.cos(), angles_PE.sin()};
}

at::Tensor apply_rotary(const at::Tensor& heads_BHLE, const RotaryTable& table, int64_t first) {
  const int64_t length = heads_BHLE.size(2);
  MICROEMO_CHECK(first + length <= table.cos_PE.size(0), "position {} lies beyond the rotary table of {}", first + length - 1,
                 table.cos_PE.size(0));
  const at::Tensor cos_LE = table.cos_PE.slice(0, first, first + length).to(heads_BHLE.options());
  const at::Tensor sin_LE = table.sin_PE.slice(0, first, first + length).to(heads_BHLE.options());
  if (!at::GradMode::is_enabled() || !heads_BHLE.requires_grad()) return turned(heads_BHLE, cos_LE, sin_LE, 1);
  return Rotate::apply(heads_BHLE, cos_LE, sin_LE);
}

at::Tensor time_features(const at::Tensor& seconds, int64_t width) {
  constexpr double shortest_s = 0.1, longest_s = 1000;
  MICROEMO_CHECK(width % 2 == 0, "time features need an even width, not {}", width);
  const at::Tensor wavelengths =
      at::linspace(std::log(shortest_s), std::log(longest_s), width / 2, seconds.options().dtype(at::kFloat)).exp();
  const at::Tensor angles = seconds.to(at::kFloat).unsqueeze(-1) * (2 * M_PI) / wavelengths;
  return at::cat({angles.sin(), angles.cos()}, -1);
}

}  // namespace microemo::nn
