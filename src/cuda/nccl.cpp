#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

#include <chrono>

#include "guarded.h"
#include "parts.h"

namespace microemo {

bool make_nccl_group(const MicroEmoNcclMeeting* meeting, void* group, char* reason, size_t reason_size) {
  return guarded(reason, reason_size, [&] {
    require(cudaSetDevice(meeting->device));
    auto options = c10d::ProcessGroupNCCL::Options::create(/*is_high_priority_stream=*/true);
    options->timeout = std::chrono::milliseconds(static_cast<int64_t>(1000 * meeting->timeout_s));
    const auto& store = *static_cast<const c10::intrusive_ptr<c10d::Store>*>(meeting->store);
    *static_cast<c10::intrusive_ptr<c10d::Backend>*>(group) =
        c10::make_intrusive<c10d::ProcessGroupNCCL>(store, meeting->rank, meeting->world, std::move(options));
  });
}

}  // namespace microemo
