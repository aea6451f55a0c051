#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include <ATen/TensorIterator.h>
#include <ATen/core/Tensor.h>

// Loops of our own over fp32 on a CPU, shared out to the threads that ATen has (at::parallel_for would want OpenMP in this
// library as well).

namespace microemo::nn {

inline bool is_plain(const at::Tensor& t) { return t.is_cpu() && t.scalar_type() == at::kFloat; }

/// Calls step(pointers, n) for pieces of contiguous tensors of one size, the outputs first, on all threads that ATen has.
template <class Step>
void for_pieces(const std::vector<at::Tensor>& outputs, const std::vector<at::Tensor>& inputs, Step step) {
  at::TensorIteratorConfig config;
  config.resize_outputs(false);
  for (const at::Tensor& t : outputs) config.add_owned_output(t.view(-1));
  for (const at::Tensor& t : inputs) config.add_owned_input(t.view(-1));
  config.build().for_each([&](char** data, const int64_t*, int64_t n, int64_t) { step(reinterpret_cast<float**>(data), n); });
}

/// Calls step(first row, end) for pieces of [N, C], on all threads that ATen has.
template <class Step>
void for_rows(const at::Tensor& x_NC, Step step) {
  const int64_t channels = x_NC.size(1), row_bytes = channels * int64_t(sizeof(float));
  if (x_NC.numel() == 0) return;
  const char* start = static_cast<const char*>(x_NC.const_data_ptr());
  at::TensorIterator rows = at::TensorIteratorConfig().add_owned_input(x_NC.select(1, 0)).build();
  rows.for_each(
      [&](char** data, const int64_t*, int64_t n, int64_t) {
        const int64_t first = (data[0] - start) / row_bytes;
        step(first, first + n);
      },
      std::max<int64_t>(1, at::internal::GRAIN_SIZE / channels));
}

}  // namespace microemo::nn
