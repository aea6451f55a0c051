#include "microemo/train/flops.h"

#include <atomic>
#include <memory>
#include <string_view>

#include <ATen/record_function.h>
#include <c10/util/ThreadLocalDebugInfo.h>

namespace microemo::train {

struct FlopCounter::Count : c10::DebugInfoBase {
  std::atomic<int64_t> operations{0};
};

namespace {

/// Goes with what is recorded to the thread that runs backward, which for a GPU is another one.
constexpr auto place = c10::DebugInfoKind::TEST_INFO;

int64_t batched_product(const at::Tensor& left, const at::Tensor& right) { return 2 * left.numel() * right.size(-1); }

/// Scores and weighted values: 2 x 2 L S E for each of the rows and heads.
int64_t attention(const at::Tensor& query_BHLE, const at::Tensor& key_BHSE) { return 4 * query_BHLE.numel() * key_BHSE.size(2); }

/// Other ranges may have no inputs to look at, so names come first.
int64_t operations(const at::RecordFunction& function) {
  const std::string_view name = function.name();
  const auto tensor = [&](size_t i) -> const at::Tensor& { return function.inputs()[i].toTensor(); };
  if (name == "aten::mm" || name == "aten::bmm") return batched_product(tensor(0), tensor(1));
  if (name == "aten::addmm" || name == "aten::baddbmm") return batched_product(tensor(1), tensor(2));
  // The fused ones, whatever the device; the plain one is made of products.
  if (!name.starts_with("aten::_scaled_dot_product_") || name.find("math") != std::string_view::npos) return 0;
  // Of the backward: scores again, and one product each for the gradients of weights, values, queries and keys.
  return name.ends_with("_backward") ? attention(tensor(1), tensor(2)) * 5 / 2 : attention(tensor(0), tensor(1));
}

std::unique_ptr<at::ObserverContext> count(const at::RecordFunction& function) {
  if (auto* held = static_cast<FlopCounter::Count*>(c10::ThreadLocalDebugInfo::get(place)))
    held->operations += operations(function);
  return nullptr;
}

}  // namespace

FlopCounter::~FlopCounter() { stop(); }

FlopCounter::FlopCounter() {
  count_ = std::make_shared<Count>();
  guard_ = std::make_unique<c10::DebugInfoGuard>(place, count_);
  handle_ = at::addThreadLocalCallback(at::RecordFunctionCallback(&count).needsInputs(true).scopes({at::RecordScope::FUNCTION}));
}

int64_t FlopCounter::stop() {
  if (handle_ != 0) at::removeCallback(std::exchange(handle_, 0));
  guard_.reset();
  return count_->operations;
}

}  // namespace microemo::train
