#pragma once
#include <cstdlib>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "microemo/parallel/group.h"
#include "microemo/parallel/host.h"

namespace microemo::test {

/// Ranks as threads of this process: enough for everything but death. The first exception of any is thrown here.
inline void run_ranks(int64_t world, const std::function<void(parallel::Group&)>& work,
                      const parallel::RankOptions& options = {}) {
  // c10d's flight recorder is one for the process and takes no lock where groups are new to it: off, before the first group.
  static const int off = ::setenv("TORCH_FR_BUFFER_SIZE", "0", 1);
  static_cast<void>(off);
  const parallel::Host host(world);
  std::mutex mutex;
  std::exception_ptr first;
  std::vector<std::jthread> threads;
  for (int64_t rank = 0; rank < world; ++rank)
    threads.emplace_back([&, rank] {
      try {
        parallel::Group group(host.context(rank), options);
        work(group);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!first) first = std::current_exception();
      }
    });
  threads.clear();
  if (first) std::rethrow_exception(first);
}

}  // namespace microemo::test
