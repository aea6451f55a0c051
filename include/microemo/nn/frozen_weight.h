#pragma once
#include <array>
#include <cstdint>
#include <utility>

#include <ATen/core/Tensor.h>

// Weights that are not trained, in fewer bytes. They are computed with in the dtype of what they are multiplied with: a matrix is
// brought back for one product at a time and not kept.

namespace microemo::nn {

enum class FrozenDtype {
  fp32,  ///< as they are
  bf16,
  int8,  ///< rounded to 127 steps of each row's largest magnitude (Dettmers et al. 2022, LLM.int8()'s vector-wise form)
  nf4,   ///< the nearest of 16 quantiles of a normal distribution, times the largest magnitude of 64 neighbours (QLoRA, Dettmers
         ///< et al. 2023)
};
constexpr auto names_of(FrozenDtype) {
  return std::array{std::pair{FrozenDtype::fp32, "fp32"}, std::pair{FrozenDtype::bf16, "bf16"},
                    std::pair{FrozenDtype::int8, "int8"}, std::pair{FrozenDtype::nf4, "nf4"}};
}

/// A matrix [out, in] in the bytes of its kind.
struct FrozenWeight {
  FrozenDtype kind = FrozenDtype::fp32;
  at::Tensor
      values;  ///< fp32 or bf16 [out, in]; int8 [out, in]; nf4: uint8 [ceil(out in / 2)], the first of two in the high bits
  at::Tensor scales;  ///< fp32: int8 [out], nf4 [ceil(out in / 64)], the largest magnitudes; undefined otherwise
  int64_t out = 0, in = 0;
};

/// weight_oi, fp32. int8 and nf4 give the bytes and scales of bitsandbytes (int8_vectorwise_quant without outliers;
/// quantize_4bit, "nf4", blocks of 64, scales not quantised again).
FrozenWeight frozen_weight(const at::Tensor& weight_oi, FrozenDtype kind);
/// The matrix [out, in] again, in fp32 or rounded to another type.
at::Tensor thawed(const FrozenWeight& weight, at::ScalarType type = at::kFloat);

/// x W^T, [N, in] -> [N, out] in x's dtype, with a gradient to x. Nothing but the weight is kept for it.
at::Tensor frozen_product(const at::Tensor& x_Ni, const FrozenWeight& weight);

}  // namespace microemo::nn
