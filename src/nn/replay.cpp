#include "microemo/nn/replay.h"

#include <algorithm>

#include <ATen/core/grad_mode.h>

namespace microemo::nn {
namespace {

/// Shapes are met so often before they are recorded: the first times, libraries choose and prepare what they use.
constexpr int64_t plain_runs = 2;

/// Ends a record that failed; only what it failed of is told.
void give_up(const DeviceGraphs& graphs, void* graph) {
  try {
    graphs.end(graph);
  } catch (...) {
  }
}

}  // namespace

struct Replay::Recorded {
  const DeviceGraphs* graphs = nullptr;
  void* graph = nullptr;
  int64_t met = 0;
  at::Tensor input, output;

  Recorded() = default;
  Recorded(const Recorded&) = delete;
  Recorded& operator=(const Recorded&) = delete;
  ~Recorded() {
    if (graph != nullptr) graphs->free(graph);
  }
};

Replay::Replay(size_t most_shapes) : most_shapes_(most_shapes) {}
Replay::~Replay() = default;

at::Tensor Replay::run(const at::Tensor& x, const std::function<at::Tensor(const at::Tensor&)>& work) {
  const DeviceGraphs* graphs = device_graphs();
  if (graphs == nullptr || x.is_cpu() || at::GradMode::is_enabled()) return work(x);
  const auto key = std::pair(x.sizes().vec(), x.scalar_type());
  if (!recorded_.contains(key) && recorded_.size() == most_shapes_) return work(x);
  std::unique_ptr<Recorded>& one = recorded_[key];
  if (!one) one = std::make_unique<Recorded>();
  if (one->graph == nullptr && ++one->met <= plain_runs) return work(x);
  if (one->graph == nullptr) {
    one->graphs = graphs;
    one->input = x.contiguous().clone();
    one->graph = graphs->begin();
    try {
      one->output = work(one->input);
      graphs->end(one->graph);
    } catch (...) {
      give_up(*graphs, one->graph);
      recorded_.erase(key);
      throw;
    }
  } else {
    one->input.copy_(x);
  }
  graphs->run(one->graph);
  return one->output.clone();
}

at::Tensor replayed(const std::shared_ptr<Replay>& replay, const torch::nn::Module& module, const at::Tensor& x,
                    const std::function<at::Tensor(const at::Tensor&)>& work) {
  const auto trained = [](const at::Tensor& parameter) { return parameter.requires_grad(); };
  if (!replay || x.requires_grad() || std::ranges::any_of(module.parameters(), trained)) return work(x);
  const at::NoGradGuard no_grad;
  return replay->run(x, work);
}

}  // namespace microemo::nn
