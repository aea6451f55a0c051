#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <memory>
#include <optional>

#include "guarded.h"
#include "parts.h"

namespace microemo {
namespace {

struct Graph {
  at::cuda::CUDAGraph graph;
  std::optional<c10::cuda::CUDAStreamGuard> stream;
};

}  // namespace

bool begin_graph(void** graph, char* reason, size_t reason_size) {
  return guarded(reason, reason_size, [&] {
    auto begun = std::make_unique<Graph>();
    // The default stream cannot be captured; the one that does waits for what is in the queue already.
    require(cudaDeviceSynchronize());
    begun->stream.emplace(c10::cuda::getStreamFromPool());
    // Other threads go on with their own work meanwhile.
    begun->graph.capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
    *graph = begun.release();
  });
}

bool end_graph(void* graph, char* reason, size_t reason_size) {
  return guarded(reason, reason_size, [&] {
    auto& begun = *static_cast<Graph*>(graph);
    try {
      begun.graph.capture_end();
    } catch (...) {
      begun.stream.reset();
      throw;
    }
    begun.stream.reset();
  });
}

bool run_graph(void* graph, char* reason, size_t reason_size) {
  return guarded(reason, reason_size, [&] { static_cast<Graph*>(graph)->graph.replay(); });
}

void free_graph(void* graph) { delete static_cast<Graph*>(graph); }

}  // namespace microemo
