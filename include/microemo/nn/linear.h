#pragma once
#include <cstdint>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include "microemo/nn/dropout.h"
#include "microemo/nn/frozen_weight.h"

namespace microemo::nn {

/// While it lives, the weights of every Linear that this thread makes are absent (nn/absent.h), so that a matrix that will be
/// frozen never lies in fp32 beside the others. Biases and adapters have memory.
class LinearsWithoutWeights {
 public:
  LinearsWithoutWeights();
  ~LinearsWithoutWeights();
  LinearsWithoutWeights(const LinearsWithoutWeights&) = delete;
  LinearsWithoutWeights& operator=(const LinearsWithoutWeights&) = delete;

 private:
  bool before_;
};

/// y = x W^T + b, with an optional low-rank adapter (LoRA; Hu et al. 2021): y += alpha / rank * (dropout(x) A^T) B^T, where A is
/// random and B starts at 0, so that attaching it changes nothing; without keys nothing is dropped. Parameters "weight" [out,
/// in], "bias" [out], and after attach_lora "lora_A" [rank, in], "lora_B" [out, rank] (the names of PEFT).
class Linear : public torch::nn::Module {
 public:
  Linear(int64_t in, int64_t out, bool bias = true);
  /// x [..., in] -> [..., out].
  at::Tensor forward(const at::Tensor& x, const DropoutKeys& keys = {}) const;
  /// sum [..., out] + forward(x), without a tensor in between.
  at::Tensor add_to(const at::Tensor& sum, const at::Tensor& x, const DropoutKeys& keys = {}) const;
  /// Throws Error(config) when rank is not in 1 … min(in, out).
  void attach_lora(int64_t rank, double alpha, double dropout = 0);
  bool has_lora() const { return lora_a_.defined(); }
  /// Keeps the weight in the bytes of `kind` from now on: parameter "weight" is then FrozenWeight::values, and buffer
  /// "weight_scales" its scales. On the meta device, or of an absent weight, the structure alone. Throws Error(internal) for a
  /// weight that is trained, or that is not fp32 and another kind is asked for.
  void freeze(FrozenDtype kind);
  FrozenDtype kind() const { return kind_; }
  int64_t in() const { return in_; }
  int64_t out() const { return out_; }
  /// Takes the matrix weight_oi [out, in] of any float dtype, in the bytes of its kind. An absent weight gets memory.
  void fill(const at::Tensor& weight_oi);

 private:
  at::Tensor rows(const at::Tensor& x, const DropoutKeys& keys) const;

  at::Tensor product(const at::Tensor& x_Ni) const;

  int64_t in_, out_;
  FrozenDtype kind_ = FrozenDtype::fp32;
  at::Tensor weight_, weight_scales_, bias_, lora_a_, lora_b_;
  double lora_scale_ = 0, lora_dropout_ = 0;
};

/// Rows of a table. Parameter "weight" [count, width]. The row `padding`, if not negative, gets no gradient.
class Embedding : public torch::nn::Module {
 public:
  Embedding(int64_t count, int64_t width, int64_t padding = -1);
  /// ids, int64 in [0, count) -> [..., width].
  at::Tensor forward(const at::Tensor& ids) const;
  const at::Tensor& weight() const { return weight_; }

 private:
  at::Tensor weight_;
  int64_t padding_;
};

/// Layer normalisation over the last dimension, eps 1e-6 unless given. Parameters "weight", "bias".
class LayerNorm : public torch::nn::Module {
 public:
  explicit LayerNorm(int64_t width, double eps = 1e-6);
  at::Tensor forward(const at::Tensor& x) const;

 private:
  at::Tensor weight_, bias_;
  double eps_;
};

/// x / sqrt(mean(x^2) + eps) * weight (Zhang and Sennrich 2019). Parameter "weight".
class RmsNorm : public torch::nn::Module {
 public:
  explicit RmsNorm(int64_t width, double eps = 1e-6);
  at::Tensor forward(const at::Tensor& x) const;

 private:
  at::Tensor weight_;
  double eps_;
};

}  // namespace microemo::nn
