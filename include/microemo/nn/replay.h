#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include "microemo/base/device.h"

namespace microemo::nn {

/// Spares the program to put the same work in a GPU's queue piece by piece: work on tensors of a shape that comes again is
/// recorded (a CUDA graph) the third time and replayed from then on. On the CPU, while gradients are recorded, and for more
/// shapes than `most_shapes`, work is done as it is. The weights it uses have to stay where they are. One thread at a time.
class Replay {
 public:
  explicit Replay(size_t most_shapes = 4);
  ~Replay();
  Replay(const Replay&) = delete;
  Replay& operator=(const Replay&) = delete;

  /// work(x). It may read nothing from the device, and has to be the same at every call.
  at::Tensor run(const at::Tensor& x, const std::function<at::Tensor(const at::Tensor&)>& work);

 private:
  struct Recorded;

  size_t most_shapes_;
  std::map<std::pair<std::vector<int64_t>, at::ScalarType>, std::unique_ptr<Recorded>> recorded_;
};

/// work(x), a function of x and of the module's weights, recorded where `replay` is there and nothing of them is trained.
at::Tensor replayed(const std::shared_ptr<Replay>& replay, const torch::nn::Module& module, const at::Tensor& x,
                    const std::function<at::Tensor(const at::Tensor&)>& work);

}  // namespace microemo::nn
