#include "microemo/parallel/gradient_reducer.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include "microemo/base/error.h"

namespace microemo::parallel {
namespace {

struct Parameter {
  at::Tensor tensor;
  int64_t offset = 0;  ///< of its gradient in the flat memory
  size_t bucket = 0;
  bool arrived = false;
  /// Its gradient came in several parts once (a module that is recomputed in two places): it is complete at the end alone.
  bool in_parts = false;
};

struct Bucket {
  std::vector<size_t> parameters;
  int64_t offset = 0, size = 0, missing = 0;
  std::function<void()> wait{};
};

}  // namespace

struct GradientReducer::Impl {
  Group& group;
  std::vector<Parameter> parameters;
  std::vector<Bucket> buckets;
  at::Tensor flat{};
  size_t sent = 0;
  bool armed = false, late = false;

  void arrived(size_t index);
  void send(Bucket& bucket);
  void send_rest();
  void wait_all();
  at::Tensor gradient_in_flat(const Parameter& parameter) const;
  void take_sums(const int* users);
};

namespace {

template <class Reducer>
struct OnArrival : torch::autograd::PostAccumulateGradHook {
  Reducer& reducer;
  size_t index;
  OnArrival(Reducer& owner, size_t number) : reducer(owner), index(number) {}
  void operator()(const at::Tensor&) override { reducer.arrived(index); }
};

/// Gradients arrive from the last layer to the first.
void fill_buckets(std::vector<Parameter>& parameters, std::vector<Bucket>& buckets, int64_t most) {
  int64_t offset = 0;
  for (size_t i = parameters.size(); i-- > 0;) {
    Parameter& parameter = parameters[i];
    const int64_t size = parameter.tensor.numel();
    if (buckets.empty() || buckets.back().size + size > most) buckets.push_back({.parameters = {}, .offset = offset});
    parameter.offset = offset;
    parameter.bucket = buckets.size() - 1;
    buckets.back().parameters.push_back(i);
    buckets.back().size += size;
    offset += size;
  }
}

}  // namespace

GradientReducer::GradientReducer() = default;

GradientReducer::GradientReducer(Group& group, std::vector<at::Tensor> parameters, double bucket_mb) {
  if (group.alone()) return;
  impl_.reset(new Impl{.group = group, .parameters = {}, .buckets = {}});
  int64_t total = 0;
  const at::Device device = parameters.empty() ? at::Device(at::kCPU) : parameters.front().device();
  for (at::Tensor& parameter : parameters) {
    MICROEMO_CHECK(parameter.scalar_type() == at::kFloat && parameter.device() == device && parameter.is_leaf(),
                   "gradients of fp32 leaves on one device are summed over ranks");
    total += parameter.numel();
    impl_->parameters.push_back({.tensor = std::move(parameter)});
  }
  fill_buckets(impl_->parameters, impl_->buckets, static_cast<int64_t>(bucket_mb * (1 << 20)) / 4);
  impl_->flat = at::empty({total}, at::TensorOptions(at::kFloat).device(device));
  for (size_t i = 0; i < impl_->parameters.size(); ++i)
    torch::autograd::impl::set_post_acc_grad_hooks(impl_->parameters[i].tensor, std::make_unique<OnArrival<Impl>>(*impl_, i));
}

GradientReducer::~GradientReducer() {
  if (!impl_) return;
  for (const Parameter& parameter : impl_->parameters) torch::autograd::impl::set_post_acc_grad_hooks(parameter.tensor, nullptr);
}

Group& GradientReducer::group() {
  static Group one_process;
  return impl_ ? impl_->group : one_process;
}

void GradientReducer::last_pass() {
  if (!impl_) return;
  for (Parameter& parameter : impl_->parameters) parameter.arrived = false;
  for (Bucket& bucket : impl_->buckets) bucket.missing = static_cast<int64_t>(bucket.parameters.size());
  impl_->sent = 0;
  impl_->late = false;
  impl_->armed = true;
}

void GradientReducer::Impl::arrived(size_t index) {
  if (!armed) return;
  Parameter& parameter = parameters[index];
  if (parameter.arrived) {
    // A further part: what was sent is not whole, and all ranks have to send again.
    late |= parameter.bucket < sent;
    parameter.in_parts = true;
    return;
  }
  parameter.arrived = true;
  if (parameter.in_parts) return;
  --buckets[parameter.bucket].missing;
  while (sent < buckets.size() && buckets[sent].missing == 0) send(buckets[sent++]);
}

at::Tensor GradientReducer::Impl::gradient_in_flat(const Parameter& parameter) const {
  return flat.narrow(0, parameter.offset, parameter.tensor.numel()).view(parameter.tensor.sizes());
}

void GradientReducer::Impl::send(Bucket& bucket) {
  const at::NoGradGuard no_grad;
  for (const size_t index : bucket.parameters) {
    const at::Tensor own = gradient_in_flat(parameters[index]), gradient = parameters[index].tensor.grad();
    if (gradient.defined())
      own.copy_(gradient);
    else
      own.zero_();
  }
  bucket.wait = group.sum_later(flat.narrow(0, bucket.offset, bucket.size));
}

void GradientReducer::Impl::send_rest() {
  while (sent < buckets.size()) send(buckets[sent++]);
}

void GradientReducer::Impl::wait_all() {
  for (Bucket& bucket : buckets) std::exchange(bucket.wait, nullptr)();
}

void GradientReducer::Impl::take_sums(const int* users) {
  for (size_t i = 0; i < parameters.size(); ++i) {
    const Parameter& parameter = parameters[i];
    at::Tensor& gradient = parameter.tensor.mutable_grad();
    if (users[i] == 0)
      gradient = at::Tensor();
    else if (parameter.tensor.is_contiguous())
      gradient = gradient_in_flat(parameter);
    else
      gradient = at::empty_like(parameter.tensor).detach().copy_(gradient_in_flat(parameter));
  }
}

void GradientReducer::finish() {
  if (!impl_) return;
  const at::NoGradGuard no_grad;
  Impl& own = *impl_;
  if (!own.armed) last_pass();
  own.armed = false;
  const auto count = static_cast<int64_t>(own.parameters.size());
  // Ranks that have a gradient for each parameter, and those where one came too late.
  const at::Tensor users = at::zeros({count + 1}, at::kInt);
  int* user = users.mutable_data_ptr<int>();
  for (int64_t i = 0; i < count; ++i) user[i] = own.parameters[static_cast<size_t>(i)].tensor.grad().defined() ? 1 : 0;
  user[count] = own.late ? 1 : 0;
  own.send_rest();
  own.group.sum(users);
  own.wait_all();
  if (user[count] > 0) {
    own.sent = 0;
    own.send_rest();
    own.wait_all();
  }
  own.take_sums(user);
}

}  // namespace microemo::parallel
