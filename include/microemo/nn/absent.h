#pragma once
#include <ATen/core/Tensor.h>

namespace microemo::nn {

/// A tensor of the CPU with shape and type and no memory: a place for values that come later, or lie elsewhere for now. Nothing
/// can be computed with it; give_memory makes it a tensor like any other.
at::Tensor absent(at::IntArrayRef shape, at::ScalarType type = at::kFloat);

/// True for what absent() made, and for a view into memory that was let go. A tensor without elements is never absent.
bool is_absent(const at::Tensor& tensor);

/// Memory without values, for an absent tensor; others stay as they are. Whoever holds the tensor sees it.
void give_memory(const at::Tensor& tensor);

}  // namespace microemo::nn
