#pragma once
#include <array>
#include <cstdint>
#include <utility>

namespace microemo::nn {

enum class RotaryScalingKind { none, linear, llama3 };
constexpr auto names_of(RotaryScalingKind) {
  return std::array{std::pair{RotaryScalingKind::none, "none"}, std::pair{RotaryScalingKind::linear, "linear"},
                    std::pair{RotaryScalingKind::llama3, "llama3"}};
}

/// Rotary positions stretched to texts longer than those of training. linear: every angle is divided by `factor`. llama3 (LLaMA
/// 3.1): angles whose wavelength is over original_tokens / low are divided, those under original_tokens / high are kept, and
/// between the two the share of the kept one grows linearly with original_tokens / wavelength.
struct RotaryScaling {
  RotaryScalingKind kind = RotaryScalingKind::none;
  double factor = 1, low = 1, high = 4;
  int64_t original_tokens = 8192;
};
template <class Visitor>
void describe(Visitor& option, RotaryScaling& o) {
  const bool scaled = o.kind != RotaryScalingKind::none, llama3 = o.kind == RotaryScalingKind::llama3;
  option("kind", o.kind, "none, linear, or llama3 as in LLaMA 3.1.");
  option("factor", o.factor, "Angles are divided by it.").min(1).only_if(scaled, "kind is linear or llama3");
  option("low", o.low, "Wavelengths over original_tokens / low are scaled whole.").above(0).only_if(llama3, "kind is llama3");
  option("high", o.high, "Wavelengths under original_tokens / high are not scaled.").above(0).only_if(llama3, "kind is llama3");
  option("original_tokens", o.original_tokens, "Longest row before the scaling.").min(1).only_if(llama3, "kind is llama3");
}

}  // namespace microemo::nn
