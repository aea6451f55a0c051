#pragma once
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include <torch/nn/module.h>

namespace microemo::nn {

/// Fills every parameter but those named in `done` as a pure function of (seed, its name), whatever else the model holds: weights
/// of two or more dimensions from a normal distribution with standard deviation 0.7 / sqrt(fan in) cut at two standard
/// deviations, tables ("embedding…", "queries…", "position…", the decoder's "tokens" and "utterances") 0.05, biases 0, norm
/// weights 1, "lora_B" and everything under a module named "zero_…" 0. The weight of a frozen Linear is that matrix, kept in its
/// bytes. Returns the names of those that were filled, in their order in the module; `on_filled` is called behind each.
std::vector<std::string> initialise(torch::nn::Module& module, uint64_t seed, const std::set<std::string>& done = {},
                                    const std::function<void(const std::string&)>& on_filled = {});

}  // namespace microemo::nn
