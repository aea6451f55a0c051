#pragma once
#include <string>

#include <fmt/format.h>

#include "microemo/parallel/launch_context.h"

namespace microemo::cli {

/// Ranks of one machine that are to use "cuda" have a GPU each; any other device stays what it is.
inline std::string device_of_rank(const std::string& device, const parallel::LaunchContext& launch) {
  return device == "cuda" && launch.local_world > 1 ? fmt::format("cuda:{}", launch.local_rank) : device;
}

}  // namespace microemo::cli
