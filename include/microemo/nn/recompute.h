#pragma once
#include <functional>
#include <vector>

#include <ATen/core/Tensor.h>

namespace microemo::nn {

/// block(x), of which nothing but x is kept: backward computes the block a second time (Chen et al. 2016). `parameters` are all
/// tensors beside x that the block gives gradients to; those that require none may be among them. The block has to be a pure
/// function of x and its parameters, which dropout by keys is. Equal to block(x) to the bit, in the gradients as well. First
/// derivatives only. Without gradients to give it is block(x). Thread-safe as the block is.
at::Tensor recomputed(const std::function<at::Tensor(const at::Tensor&)>& block, const at::Tensor& x,
                      const std::vector<at::Tensor>& parameters);

}  // namespace microemo::nn
