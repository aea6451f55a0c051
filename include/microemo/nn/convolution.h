#pragma once
#include <cstdint>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

// Shapes: B rows, C channels, T places in time.

namespace microemo::nn {

struct ConvolutionOptions {
  int64_t in = 1, out = 1;
  int64_t kernel = 1, stride = 1;
  int64_t padding = 0;  ///< zeros on either side
  bool bias = true;
};

/// Convolution over time. Parameters "weight" [out, in, kernel], "bias" [out].
class Convolution : public torch::nn::Module {
 public:
  explicit Convolution(const ConvolutionOptions& options);
  /// x [B, in, T] -> [B, out, floor((T + 2 padding - kernel) / stride) + 1].
  at::Tensor forward(const at::Tensor& x_BCT) const;

 private:
  int64_t stride_, padding_;
  at::Tensor weight_, bias_;
};

/// Each channel normalised over time on its own: group normalisation (Wu and He 2018) with as many groups as channels. Parameters
/// "weight", "bias".
class ChannelNorm : public torch::nn::Module {
 public:
  explicit ChannelNorm(int64_t channels, double eps = 1e-5);
  at::Tensor forward(const at::Tensor& x_BCT) const;

 private:
  at::Tensor weight_, bias_;
  double eps_;
};

}  // namespace microemo::nn
