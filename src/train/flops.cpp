#include "microemo/train/flops.h"

#include <memory>
#include <string_view>

#include <ATen/record_function.h>

namespace microemo::train {
namespace {

thread_local int64_t counted = 0;

int64_t batched_product(const at::Tensor& left, const at::Tensor& right) { return 2 * left.numel() * right.size(-1); }

/// Scores and weighted values: 2 x 2 L S E for each of the rows and heads.
int64_t attention(const at::Tensor& query_BHLE, const at::Tensor& key_BHSE) { return 4 * query_BHLE.numel() * key_BHSE.size(2); }

/// Other ranges may have no inputs to look at, so names come first.
int64_t operations(const at::RecordFunction& function) {
  const std::string_view name = function.name();
  const auto tensor = [&](size_t i) -> const at::Tensor& { return function.inputs()[i].toTensor(); };
  if (name == "aten::mm" || name == "aten::bmm") return batched_product(tensor(0), tensor(1));
  if (name == "aten::addmm" || name == "aten::baddbmm") return batched_product(tensor(1), tensor(2));
  if (name == "aten::_scaled_dot_product_flash_attention_for_cpu") return attention(tensor(0), tensor(1));
  // Of the backward: scores again, and one product each for the gradients of weights, values, queries and keys.
  if (name == "aten::_scaled_dot_product_flash_attention_for_cpu_backward") return attention(tensor(1), tensor(2)) * 5 / 2;
  return 0;
}

std::unique_ptr<at::ObserverContext> count(const at::RecordFunction& function) {
  counted += operations(function);
  return nullptr;
}

}  // namespace

FlopCounter::FlopCounter() {
  counted = 0;
  handle_ = at::addThreadLocalCallback(at::RecordFunctionCallback(&count).needsInputs(true).scopes({at::RecordScope::FUNCTION}));
}

int64_t FlopCounter::stop() {
  if (handle_ == 0) return count_;
  at::removeCallback(std::exchange(handle_, 0));
  return count_ = counted;
}

}  // namespace microemo::train
