#include "microemo/checkpoint/finite.h"

#include <algorithm>

#include <ATen/ops/isinf.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/view_as_real.h>
#include <fmt/format.h>

#include "microemo/base/error.h"

namespace microemo::checkpoint {
namespace {

constexpr int64_t elements_at_once = 1 << 20;
constexpr size_t most_listed = 8;

/// What can hold a NaN; LibTorch's small types are widened because few of its operations know them.
at::Tensor widened(const at::Tensor& values) {
  if (values.is_complex()) return at::view_as_real(values.to(at::kComplexDouble));
  return values.scalar_type() == at::kDouble ? values : values.to(at::kFloat);
}

void count(const at::Tensor& values, NonFinite& found) {
  const at::Tensor numbers = widened(values);
  at::Tensor nan = at::isnan(numbers), infinite = at::isinf(numbers);
  if (values.is_complex()) {
    nan = nan.any(-1);
    infinite = infinite.any(-1).logical_and_(nan.logical_not());
  }
  found.not_a_number += nan.sum().item<int64_t>();
  found.infinite += infinite.sum().item<int64_t>();
}

NonFinite look_at(const TensorEntry& entry, const at::Tensor& tensor) {
  NonFinite found{entry.name, 0, 0, tensor.numel()};
  // Views of a .pth with strides of their own are copied by reshape; what lies in a row is looked at where it is.
  const at::Tensor flat = tensor.reshape({-1});
  for (int64_t begin = 0; begin < found.elements; begin += elements_at_once)
    count(flat.slice(0, begin, std::min(begin + elements_at_once, found.elements)), found);
  return found;
}

}  // namespace

std::vector<NonFinite> find_non_finite(const TensorSource& source) {
  std::vector<NonFinite> all;
  for (const TensorEntry& entry : source.entries()) {
    const at::Tensor tensor = source.tensor(entry);
    if (!tensor.is_floating_point() && !tensor.is_complex()) continue;
    if (tensor.scalar_type() == at::ScalarType::Float4_e2m1fn_x2)
      throw CheckpointError("'{}' holds packed numbers of four bits, which cannot be looked at", entry.name)
          .where(source.files().at(entry.file))
          .hint("leave --check-finite out");
    if (NonFinite found = look_at(entry, tensor); found.not_a_number + found.infinite > 0) all.push_back(std::move(found));
  }
  return all;
}

void require_finite(const TensorSource& source) {
  const std::vector<NonFinite> all = find_non_finite(source);
  if (all.empty()) return;
  std::string text = fmt::format("{} of {} tensors hold values that are no finite numbers:", all.size(), source.entries().size());
  for (size_t i = 0; i < std::min(all.size(), most_listed); ++i)
    text +=
        fmt::format("\n    {}: {} NaN, {} infinite of {}", all[i].name, all[i].not_a_number, all[i].infinite, all[i].elements);
  if (all.size() > most_listed) text += fmt::format("\n    and {} more", all.size() - most_listed);
  throw CheckpointError("{}", text)
      .where(source.files().at(source.find(all.front().name).file))
      .hint("fetch the file again and compare its hash; if it is as published, training diverged before it was saved");
}

}  // namespace microemo::checkpoint
