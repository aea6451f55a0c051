#pragma once
#include <string>
#include <vector>

#include "microemo/infer/sampling.h"

namespace CLI {
class App;
}

namespace microemo::cli {

/// --temperature, --top-k, --top-p, --repetition-penalty, --seed and --stop.
void add_sampling_options(CLI::App& command, infer::SamplingOptions& sampling, std::vector<std::string>& stop);

}  // namespace microemo::cli
