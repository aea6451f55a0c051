#pragma once
#include <cstdint>

#include <ATen/core/Tensor.h>

namespace microemo::nn {

/// Labels with this value count nothing.
inline constexpr int64_t ignored_label = -100;

/// Sum of -log softmax(hidden W^T)[label] over the rows whose label counts, without ever holding [rows, vocabulary]: logits are
/// made and consumed `chunk` rows at a time, and the gradients of hidden and weight are formed in the same pass. A label of
/// ignored_label is skipped before the product. hidden_RC [rows, C] fp32 or
/// bf16, which the products are in; weight_VC [vocabulary, C]; labels_R int64, there or on the
/// CPU, where they are read without waiting for a GPU. Returns a 0-dimensional tensor in fp32 with autograd to hidden and weight.
at::Tensor linear_cross_entropy_sum(const at::Tensor& hidden_RC, const at::Tensor& weight_VC, const at::Tensor& labels_R,
                                    int64_t chunk = 1024);

}  // namespace microemo::nn
