#include "microemo/nn/rotary.h"

#include <cmath>
#include <numbers>

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/pow.h>

#include "microemo/base/error.h"

namespace microemo::nn {

namespace {

at::Tensor scaled(const at::Tensor& frequencies, const RotaryScaling& scaling) {
  if (scaling.kind == RotaryScalingKind::none) return frequencies;
  const at::Tensor slow = frequencies / scaling.factor;
  if (scaling.kind == RotaryScalingKind::linear) return slow;
  const at::Tensor turns = frequencies * (double(scaling.original_tokens) / (2 * std::numbers::pi));
  const at::Tensor kept = ((turns - scaling.low) / (scaling.high - scaling.low)).clamp(0, 1);
  return (1 - kept) * slow + kept * frequencies;
}

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
  const int64_t length = heads_BHLE.size(2), half = heads_BHLE.size(3) / 2;
  MICROEMO_CHECK(first + length <= table.cos_PE.size(0), "position {} lies beyond the rotary table of {}", first + length - 1,
                 table.cos_PE.size(0));
  const at::Tensor cos_LE = table.cos_PE.slice(0, first, first + length).to(heads_BHLE.options());
  const at::Tensor sin_LE = table.sin_PE.slice(0, first, first + length).to(heads_BHLE.options());
  const at::Tensor rotated_BHLE = at::cat({-heads_BHLE.slice(3, half), heads_BHLE.slice(3, 0, half)}, 3);
  return heads_BHLE * cos_LE + rotated_BHLE * sin_LE;
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
