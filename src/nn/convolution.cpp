#include "microemo/nn/convolution.h"

#include <ATen/ops/conv1d.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/group_norm.h>

namespace microemo::nn {

Convolution::Convolution(const ConvolutionOptions& o) : stride_(o.stride), padding_(o.padding) {
  weight_ = register_parameter("weight", at::empty({o.out, o.in, o.kernel}));
  if (o.bias) bias_ = register_parameter("bias", at::empty({o.out}));
}

at::Tensor Convolution::forward(const at::Tensor& x_BCT) const { return at::conv1d(x_BCT, weight_, bias_, stride_, padding_); }

ChannelNorm::ChannelNorm(int64_t channels, double eps) : eps_(eps) {
  weight_ = register_parameter("weight", at::empty({channels}));
  bias_ = register_parameter("bias", at::empty({channels}));
}

at::Tensor ChannelNorm::forward(const at::Tensor& x_BCT) const {
  return at::group_norm(x_BCT, weight_.size(0), weight_, bias_, eps_);
}

}  // namespace microemo::nn
