#include "microemo/nn/dropout.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include "device.h"
#include "microemo/base/error.h"
#include "microemo/base/formulas.h"

namespace microemo::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

using formulas::folded;
using formulas::golden;
using formulas::mixed;

/// 32 bits decide about a number; two numbers share what is drawn for them.
uint64_t threshold_of(double probability) { return static_cast<uint64_t>(probability * 4294967296.0); }

void drop_row(const float* from, float* to, int64_t count, uint64_t key, uint64_t threshold, float scale) {
  const auto kept = [=](uint64_t bits, float value) { return (bits & 0xffffffff) < threshold ? 0.0f : value * scale; };
  int64_t i = 0;
  for (; i + 2 <= count; i += 2) {
    const uint64_t bits = mixed(key + uint64_t(i / 2 + 1) * golden);
    to[i] = kept(bits, from[i]);
    to[i + 1] = kept(bits >> 32, from[i + 1]);
  }
  if (i < count) to[i] = kept(mixed(key + uint64_t(i / 2 + 1) * golden), from[i]);
}

/// The part of a tensor below one index of each dimension in front of `sizes`. A number's key is made of its indices alone, not
/// of the sizes, so that padding does not matter.
void drop_part(const float* from, float* to, at::IntArrayRef sizes, uint64_t key, uint64_t threshold, float scale) {
  if (sizes.size() <= 1) return drop_row(from, to, sizes.empty() ? 1 : sizes[0], key, threshold, scale);
  const int64_t size = c10::multiply_integers(sizes.slice(1));
  for (int64_t i = 0; i < sizes[0]; ++i)
    drop_part(from + i * size, to + i * size, sizes.slice(1), folded(key, uint64_t(i)), threshold, scale);
}

at::Tensor dropped_on_device(const MicroEmoKernels& kernels, const at::Tensor& x, double probability,
                             const std::vector<uint64_t>& keys) {
  const at::Tensor from = x.contiguous(), to = at::empty_like(from);
  const at::Tensor row_keys = on_device_of(x, keys);
  MicroEmoDropout work{.from = from.const_data_ptr(),
                       .to = to.mutable_data_ptr(),
                       .type = number_type(x),
                       .dimensions = int32_t(std::max<int64_t>(2, x.dim())),
                       .sizes = {},
                       .row_keys = static_cast<const uint64_t*>(row_keys.const_data_ptr()),
                       .threshold = threshold_of(probability),
                       .scale = float(1 / (1 - probability))};
  MICROEMO_CHECK(work.dimensions <= microemo_most_dimensions, "dropout of a tensor of {} dimensions", x.dim());
  std::fill(work.sizes, work.sizes + microemo_most_dimensions, 1);
  std::copy(x.sizes().begin(), x.sizes().end(), work.sizes);
  launched(kernels.dropout(&work), "dropout");
  return to;
}

at::Tensor dropped(const at::Tensor& x, double probability, const std::vector<uint64_t>& keys) {
  if (const MicroEmoKernels* kernels = kernels_for(x); kernels && x.numel() > 0)
    return dropped_on_device(*kernels, x, probability, keys);
  const at::Tensor from = x.to(at::kCPU, at::kFloat).contiguous(), to = at::empty_like(from);
  const int64_t rows = x.size(0), size = rows > 0 ? x.numel() / rows : 0;
  const float* source = from.const_data_ptr<float>();
  float* target = to.mutable_data_ptr<float>();
  for (int64_t r = 0; r < rows; ++r)
    drop_part(source + r * size, target + r * size, x.sizes().slice(1), keys[size_t(r)], threshold_of(probability),
              float(1 / (1 - probability)));
  return to.to(x.device(), x.scalar_type());
}

class Dropout : public torch::autograd::Function<Dropout> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, double probability,
                            const std::vector<uint64_t>& keys) {
    context->saved_data["probability"] = probability;
    context->saved_data["keys"] = std::vector<int64_t>(keys.begin(), keys.end());
    return dropped(x, probability, keys);
  }

  static tensor_list backward(AutogradContext* context, tensor_list gradient) {
    const auto keys = context->saved_data["keys"].toIntVector();
    return {dropped(gradient[0], context->saved_data["probability"].toDouble(), {keys.begin(), keys.end()}), {}, {}};
  }
};

bool drops(const at::Tensor& x, double probability, const DropoutKeys& keys) {
  if (keys.none() || probability <= 0) return false;
  MICROEMO_CHECK(x.dim() > 0 && x.size(0) == int64_t(keys.rows().size()), "{} keys for the dropout of {} rows",
                 keys.rows().size(), x.dim() > 0 ? x.size(0) : 0);
  MICROEMO_CHECK(probability < 1, "a dropout of {}", probability);
  return true;
}

}  // namespace

DropoutKeys DropoutKeys::at(uint64_t place) const {
  std::vector<uint64_t> keys = rows_;
  for (uint64_t& key : keys) key = folded(key, place);
  return DropoutKeys(std::move(keys));
}

DropoutKeys DropoutKeys::parts(int64_t count) const { return parts(std::vector<int64_t>(rows_.size(), count)); }

DropoutKeys DropoutKeys::parts(const std::vector<int64_t>& counts) const {
  if (none()) return {};
  MICROEMO_CHECK(counts.size() == rows_.size(), "{} counts for the keys of {} rows", counts.size(), rows_.size());
  std::vector<uint64_t> keys;
  for (size_t row = 0; row < rows_.size(); ++row)
    for (int64_t i = 0; i < counts[row]; ++i) keys.push_back(folded(rows_[row], uint64_t(i)));
  return DropoutKeys(std::move(keys));
}

DropoutKeys DropoutKeys::rows_at(const at::Tensor& chosen) const {
  if (none()) return {};
  const at::Tensor numbers = chosen.to(at::kCPU).contiguous();
  std::vector<uint64_t> keys;
  for (int64_t i = 0; i < numbers.numel(); ++i) keys.push_back(rows_.at(size_t(numbers.const_data_ptr<int64_t>()[i])));
  return DropoutKeys(std::move(keys));
}

uint64_t dropout_key(uint64_t seed, std::initializer_list<uint64_t> coordinates) {
  uint64_t key = mixed(seed + golden);
  for (const uint64_t coordinate : coordinates) key = folded(key, coordinate);
  return key;
}

at::Tensor dropout(const at::Tensor& x, double probability, const DropoutKeys& keys) {
  return drops(x, probability, keys) ? Dropout::apply(x, probability, keys.rows()) : x;
}

at::Tensor drop_rows(const at::Tensor& x, double probability, const DropoutKeys& keys) {
  if (!drops(x, probability, keys)) return x;
  const at::Tensor kept_B = at::empty({x.size(0)}, at::kFloat);
  for (int64_t r = 0; r < x.size(0); ++r) {
    const bool is_dropped = (mixed(keys.rows()[size_t(r)] + golden) & 0xffffffff) < threshold_of(probability);
    kept_B.mutable_data_ptr<float>()[r] = is_dropped ? 0.0f : float(1 / (1 - probability));
  }
  std::vector<int64_t> shape(size_t(x.dim()), 1);
  shape[0] = x.size(0);
  return x * sent(kept_B.to(x.scalar_type()), x.device()).view(shape);
}

}  // namespace microemo::nn
