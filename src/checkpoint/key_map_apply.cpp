#include <cmath>

#include <fmt/ranges.h>

#include <ATen/ops/cat.h>
#include <ATen/ops/zeros_like.h>

#include "microemo/base/error.h"
#include "microemo/checkpoint/key_map.h"

namespace microemo::checkpoint {
namespace {

std::string shape_text(const at::Tensor& tensor) { return fmt::format("[{}]", fmt::join(tensor.sizes(), ", ")); }

Error shape_error(const KeyStep& step, const at::Tensor& tensor, const char* wanted) {
  const std::string name = step.from.empty() || step.from.front().empty() ? step.to : step.from.front();
  return CheckpointError("'{}' has the shape {}; wanted: {}", name, shape_text(tensor), wanted)
      .hint("name the family that the file is of");
}

bool is_zero(const at::Tensor& tensor) { return tensor.is_meta() || tensor.eq(0).all().item<bool>(); }

at::Tensor row_block(const KeyStep& step, const at::Tensor& tensor) {
  if (tensor.dim() == 0 || tensor.size(0) % step.blocks != 0)
    throw shape_error(step, tensor, fmt::format("rows for {} blocks of equal height", step.blocks).c_str());
  const int64_t height = tensor.size(0) / step.blocks;
  at::Tensor block = tensor.narrow(0, step.block * height, height);
  if (step.to.empty() && !is_zero(block))
    throw CheckpointError("'{}' is not zero in rows {} to {}, for which our model has no weights", step.from.front(),
                          step.block * height, (step.block + 1) * height - 1)
        .hint("this file is of a model that is not supported");
  return block;
}

at::Tensor stack_rows(const KeyStep& step, const std::vector<at::Tensor>& blocks) {
  const at::Tensor* known = nullptr;
  for (const at::Tensor& block : blocks) {
    if (!block.defined()) continue;
    if (known && (block.sizes() != known->sizes() || block.scalar_type() != known->scalar_type()))
      throw CheckpointError("'{}' is made of blocks of different shape or type: {} {} and {} {}", step.to, shape_text(*known),
                            c10::toString(known->scalar_type()), shape_text(block), c10::toString(block.scalar_type()))
          .hint("complete the file");
    known = &block;
  }
  MICROEMO_CHECK(known != nullptr, "'{}' is made of zeros alone", step.to);
  std::vector<at::Tensor> rows;
  for (const at::Tensor& block : blocks) rows.push_back(block.defined() ? block : at::zeros_like(*known));
  return at::cat(rows);
}

at::Tensor to_patches(const KeyStep& step, const at::Tensor& tensor, int64_t channels) {
  if (tensor.dim() != 4 || tensor.size(1) != channels || tensor.size(2) != tensor.size(3))
    throw shape_error(step, tensor, fmt::format("[out, {}, p, p]", channels).c_str());
  return tensor.flatten(1);
}

at::Tensor from_patches(const KeyStep& step, const at::Tensor& tensor, int64_t channels) {
  const int64_t side = tensor.dim() == 2 ? std::llround(std::sqrt(double(tensor.size(1)) / double(channels))) : 0;
  if (tensor.dim() != 2 || side * side * channels != tensor.size(1))
    throw shape_error(step, tensor, fmt::format("[out, {} p p]", channels).c_str());
  return tensor.unflatten(1, {channels, side, side});
}

at::Tensor drop_first(const KeyStep& step, at::Tensor tensor, int count) {
  for (int i = 0; i < count; ++i) {
    if (tensor.dim() == 0 || tensor.size(0) != 1) throw shape_error(step, tensor, count == 1 ? "[1, ...]" : "[1, 1, ...]");
    tensor = tensor.select(0, 0);
  }
  return tensor;
}

at::Tensor transposed(const KeyStep& step, const at::Tensor& tensor) {
  if (tensor.dim() != 2) throw shape_error(step, tensor, "[rows, columns]");
  return tensor.t();
}

at::Tensor to_ours(const KeyStep& step, const at::Tensor& tensor) {
  switch (step.op) {
    case KeyOp::transpose:
      return transposed(step, tensor);
    case KeyOp::first:
      return drop_first(step, tensor, 1);
    case KeyOp::first_first:
      return drop_first(step, tensor, 2);
    case KeyOp::patches_rgb:
      return to_patches(step, tensor, 3);
    case KeyOp::patches_mono:
      return to_patches(step, tensor, 1);
    case KeyOp::rows:
      return row_block(step, tensor);
    case KeyOp::copy:
    case KeyOp::ignore:
      break;
  }
  return tensor;
}

at::Tensor to_public(const KeyStep& step, const std::vector<at::Tensor>& from) {
  switch (step.op) {
    case KeyOp::transpose:
      return transposed(step, from[0]);
    case KeyOp::first:
      return from[0].unsqueeze(0);
    case KeyOp::first_first:
      return from[0].unsqueeze(0).unsqueeze(0);
    case KeyOp::patches_rgb:
      return from_patches(step, from[0], 3);
    case KeyOp::patches_mono:
      return from_patches(step, from[0], 1);
    case KeyOp::rows:
      return stack_rows(step, from);
    case KeyOp::copy:
    case KeyOp::ignore:
      break;
  }
  return from[0];
}

}  // namespace

at::Tensor apply_step(const KeyStep& step, const std::vector<at::Tensor>& from) {
  MICROEMO_CHECK(from.size() == step.from.size(), "the step to '{}' is made of {} tensors", step.to, step.from.size());
  return step.direction == KeyDirection::to_ours ? to_ours(step, from[0]) : to_public(step, from);
}

void check_delta(const std::string& name, DeltaRule rule, const at::Tensor& base, const at::Tensor& delta) {
  const bool grown = rule == DeltaRule::may_grow && base.dim() == 2 && delta.dim() == 2 && base.size(1) == delta.size(1) &&
                     base.size(0) < delta.size(0);
  if (!grown && base.sizes() != delta.sizes())
    throw CheckpointError("'{}' has the shape {} in the difference and {} in the base", name, shape_text(delta), shape_text(base))
        .hint("name the base that the difference was made from");
}

at::Tensor apply_delta(const std::string& name, DeltaRule rule, const at::Tensor& base, const at::Tensor& delta) {
  check_delta(name, rule, base, delta);
  if (!delta.is_floating_point()) return delta;
  at::Tensor sum = delta.to(at::kFloat, /*non_blocking=*/false, /*copy=*/true);
  at::Tensor shared = sum.dim() == 0 ? sum : sum.narrow(0, 0, base.size(0));
  shared.add_(base.to(at::kFloat));
  return sum.to(delta.scalar_type());
}

}  // namespace microemo::checkpoint
