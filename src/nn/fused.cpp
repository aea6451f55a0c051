#include "microemo/nn/fused.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/mv.h>
#include <ATen/ops/rms_norm.h>
#include <ATen/ops/silu.h>
#include <torch/csrc/autograd/custom_function.h>

#include "device.h"
#include "eight.h"
#include "pieces.h"

// Shapes: N rows, C channels.

namespace microemo::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

bool records(const at::Tensor& a, const at::Tensor& b) {
  return at::GradMode::is_enabled() && (a.requires_grad() || b.requires_grad());
}

/// Of numbers in front of and behind the last whole eight: f(vectors) there, and here on copies filled up with zeros.
template <size_t inputs, size_t outputs, class Values>
void map_eights(const std::array<const float*, inputs>& in, const std::array<float*, outputs>& out, int64_t n, Values values) {
  std::array<Eight, inputs> x{};
  for (int64_t i = 0; i < n; i += eight) {
    const size_t bytes = size_t(std::min(eight, n - i)) * sizeof(float);
    if (bytes == sizeof(Eight)) {
      for (size_t k = 0; k < inputs; ++k) x[k] = load(in[k] + i);
      const std::array<Eight, outputs> y = values(x);
      for (size_t k = 0; k < outputs; ++k) store(out[k] + i, y[k]);
    } else {
      x = {};
      for (size_t k = 0; k < inputs; ++k) std::memcpy(&x[k], in[k] + i, bytes);
      const std::array<Eight, outputs> y = values(x);
      for (size_t k = 0; k < outputs; ++k) std::memcpy(out[k] + i, &y[k], bytes);
    }
  }
}

/// The sum over i < n of a b c.
float sum_of_products(const float* a, const float* b, const float* c, int64_t n) {
  Eight first{}, second{};
  int64_t i = 0;
  for (; i + 2 * eight <= n; i += 2 * eight) {
    first += load(a + i) * load(b + i) * load(c + i);
    second += load(a + i + eight) * load(b + i + eight) * load(c + i + eight);
  }
  float rest = 0;
  for (; i < n; ++i) rest += a[i] * b[i] * c[i];
  return sum(first + second) + rest;
}

float sum_of_squares(const float* x, int64_t n) {
  Eight first{}, second{};
  int64_t i = 0;
  for (; i + 2 * eight <= n; i += 2 * eight) {
    first += load(x + i) * load(x + i);
    second += load(x + i + eight) * load(x + i + eight);
  }
  float rest = 0;
  for (; i < n; ++i) rest += x[i] * x[i];
  return sum(first + second) + rest;
}

/// The normed rows, and in inverse_N 1 / rms of each.
at::Tensor normed(const at::Tensor& x_NC, const at::Tensor& weight_C, double eps, const at::Tensor& inverse_N) {
  const at::Tensor y_NC = at::empty_like(x_NC);
  const int64_t c = x_NC.size(1);
  const float *x = x_NC.const_data_ptr<float>(), *w = weight_C.const_data_ptr<float>();
  float *y = y_NC.mutable_data_ptr<float>(), *inverse = inverse_N.mutable_data_ptr<float>();
  for_rows(x_NC, [=](int64_t first, int64_t end) {
    for (int64_t row = first; row < end; ++row) {
      const float r = 1 / std::sqrt(sum_of_squares(x + row * c, c) / float(c) + float(eps));
      inverse[row] = r;
      map_eights<2, 1>({x + row * c, w}, {y + row * c}, c, [r](const auto& in) { return std::array{in[0] * r * in[1]}; });
    }
  });
  return y_NC;
}

/// With r = 1 / rms(x): dx = r dy w - x r^3 / C sum(dy w x).
at::Tensor normed_backward(const at::Tensor& dy_NC, const at::Tensor& x_NC, const at::Tensor& weight_C,
                           const at::Tensor& inverse_N) {
  const at::Tensor dx_NC = at::empty_like(x_NC);
  const int64_t c = x_NC.size(1);
  const float *dy = dy_NC.const_data_ptr<float>(), *x = x_NC.const_data_ptr<float>(), *w = weight_C.const_data_ptr<float>(),
              *inverse = inverse_N.const_data_ptr<float>();
  float* dx = dx_NC.mutable_data_ptr<float>();
  for_rows(x_NC, [=](int64_t first, int64_t end) {
    for (int64_t row = first; row < end; ++row) {
      const float *row_dy = dy + row * c, *row_x = x + row * c, r = inverse[row];
      const float slope = sum_of_products(row_dy, w, row_x, c) * r * r * r / float(c);
      map_eights<3, 1>({row_dy, w, row_x}, {dx + row * c}, c,
                       [=](const auto& in) { return std::array{in[0] * in[1] * r - in[2] * slope}; });
    }
  });
  return dx_NC;
}

class RmsNormFunction : public torch::autograd::Function<RmsNormFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x_NC, const at::Tensor& weight_C, double eps) {
    const at::Tensor inverse_N = at::empty({x_NC.size(0)}, x_NC.options());
    context->save_for_backward({x_NC, weight_C, inverse_N});
    return normed(x_NC, weight_C, eps, inverse_N);
  }
  static tensor_list backward(AutogradContext* context, tensor_list gradient) {
    const tensor_list saved = context->get_saved_variables();
    const at::Tensor &x_NC = saved[0], &weight_C = saved[1], &inverse_N = saved[2], dy_NC = gradient[0].contiguous();
    at::Tensor dx_NC, dw_C;
    if (context->needs_input_grad(0)) dx_NC = normed_backward(dy_NC, x_NC, weight_C, inverse_N);
    if (context->needs_input_grad(1)) dw_C = at::mv((dy_NC * x_NC).t(), inverse_N);
    return {dx_NC, dw_C, {}};
  }
};

at::Tensor swiglu_of(const at::Tensor& gate, const at::Tensor& up) {
  const at::Tensor y = at::empty_like(gate);
  if (const MicroEmoKernels* kernels = kernels_for(gate)) {
    const MicroEmoSwiglu work{.gate = gate.const_data_ptr(),
                              .up = up.const_data_ptr(),
                              .gradient = nullptr,
                              .product = y.mutable_data_ptr(),
                              .gate_gradient = nullptr,
                              .up_gradient = nullptr,
                              .type = number_type(gate),
                              .count = gate.numel()};
    launched(kernels->swiglu(&work), "SwiGLU");
    return y;
  }
  for_pieces({y}, {gate, up}, [](float** data, int64_t n) {
    map_eights<2, 1>({data[1], data[2]}, {data[0]}, n,
                     [](const auto& in) { return std::array{in[0] / (1.0f + exp(-in[0])) * in[1]}; });
  });
  return y;
}

class SwigluFunction : public torch::autograd::Function<SwigluFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& gate, const at::Tensor& up) {
    context->save_for_backward({gate, up});
    return swiglu_of(gate, up);
  }

  // With s the logistic function: silu'(x) = s(x) (1 + x (1 - s(x))).
  static tensor_list backward(AutogradContext* context, tensor_list gradient) {
    const tensor_list saved = context->get_saved_variables();
    const at::Tensor &gate = saved[0], &up = saved[1], dy = gradient[0].contiguous();
    const at::Tensor d_gate = at::empty_like(gate), d_up = at::empty_like(up);
    if (const MicroEmoKernels* kernels = kernels_for(gate)) {
      const MicroEmoSwiglu work{.gate = gate.const_data_ptr(),
                                .up = up.const_data_ptr(),
                                .gradient = dy.const_data_ptr(),
                                .product = nullptr,
                                .gate_gradient = d_gate.mutable_data_ptr(),
                                .up_gradient = d_up.mutable_data_ptr(),
                                .type = number_type(gate),
                                .count = gate.numel()};
      launched(kernels->swiglu_backward(&work), "the gradient of SwiGLU");
      return {d_gate, d_up};
    }
    for_pieces({d_gate, d_up}, {gate, up, dy}, [](float** data, int64_t n) {
      map_eights<3, 2>({data[2], data[3], data[4]}, {data[0], data[1]}, n, [](const auto& in) {
        const Eight s = 1.0f / (1.0f + exp(-in[0]));
        return std::array{in[2] * in[1] * s * (1.0f + in[0] * (1.0f - s)), in[2] * in[0] * s};
      });
    });
    return {d_gate, d_up};
  }
};

}  // namespace

// Other devices have kernels of their own, and in 16 bits the places of rounding are part of a model.

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight_C, double eps) {
  if (!is_plain(x) || !is_plain(weight_C)) return at::rms_norm(x, {weight_C.size(0)}, weight_C, eps);
  const at::Tensor x_NC = x.reshape({-1, weight_C.size(0)}).contiguous();
  if (records(x, weight_C)) return RmsNormFunction::apply(x_NC, weight_C, eps).view(x.sizes());
  return normed(x_NC, weight_C, eps, at::empty({x_NC.size(0)}, x_NC.options())).view(x.sizes());
}

at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up) {
  const bool own_kernel = kernels_for(gate) != nullptr && gate.scalar_type() == up.scalar_type();
  if (!own_kernel && (!is_plain(gate) || !is_plain(up))) return at::silu(gate) * up;
  const at::Tensor whole_gate = gate.contiguous(), whole_up = up.contiguous();
  return records(gate, up) ? SwigluFunction::apply(whole_gate, whole_up) : swiglu_of(whole_gate, whole_up);
}

}  // namespace microemo::nn
