#pragma once
#include <map>
#include <string>

#include <ATen/core/Tensor.h>

namespace microemo {

/// What a training step gave: its loss, and the gradient of every trained parameter on the CPU.
struct StepOutcome {
  double loss = 0;
  std::map<std::string, at::Tensor> gradients;
};

/// Relative to `wanted`: the loss, all gradients as one vector, and the one of them that differs most, to its own size or to 1e-5
/// of all where it is smaller, so that a part whose gradients are small counts too. Infinite where one is missing or not finite.
struct StepDifference {
  double loss = 0, gradient = 0, one_gradient = 0;
};
StepDifference compare_steps(const StepOutcome& wanted, const StepOutcome& found);

/// A training step in fp32 of small models with every kind of encoder, Q-Former, pooling, windows and frozen matrices, on the
/// device against the CPU, and with frozen encoders recorded and replayed (train.graphs). No weight is zero as a whole, which
/// would hide what is computed with it. Prints a line for each. False when a loss differs by more than 1e-4, the gradients by
/// more than 1e-3 or one of them by more than 1e-2, or a replayed step by more than 1e-6 from one that is not.
bool same_models(const at::Device& device);

/// Times the public encoders at full size with random weights, frames in bf16, plain and replayed, and prints milliseconds a
/// clip: 32 frames, 8 pieces of sound of 2 s, or one of 30 s. `part` of their blocks, at least one.
void time_encoders(const at::Device& device, double part);

}  // namespace microemo
