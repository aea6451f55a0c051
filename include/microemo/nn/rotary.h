#pragma once
#include <cstdint>

#include <ATen/core/Tensor.h>

#include "microemo/nn/rotary_scaling.h"

namespace microemo::nn {

/// Cosines and sines of position * theta^(-2i/E) (RoPE; Su et al. 2021, eq. 15), fp32, for positions 0 … positions-1.
struct RotaryTable {
  at::Tensor cos_PE, sin_PE;  ///< [positions, E], the E/2 angles repeated twice (half-split layout)
};

/// head_width E must be even.
RotaryTable rotary_table(int64_t positions, int64_t head_width, double theta, const RotaryScaling& scaling = {});

/// Rotates query or key heads by position, in the half-split layout of Hugging Face checkpoints: dimension i pairs with i + E/2.
/// heads_BHLE any float dtype; the L positions are first, first + 1, … Returns a new tensor. Throws Error(internal) beyond the
/// table. Thread-safe.
at::Tensor apply_rotary(const at::Tensor& heads_BHLE, const RotaryTable& table, int64_t first);

/// Sine and cosine features of times in seconds, [..., width]: wavelengths from 0.1 s to 1000 s in geometric steps. Any shape;
/// float32.
at::Tensor time_features(const at::Tensor& seconds, int64_t width);

}  // namespace microemo::nn
