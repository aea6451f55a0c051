#pragma once
#include <filesystem>
#include <memory>
#include <variant>

#include "microemo/base/error.h"
#include "microemo/checkpoint/hf_config.h"
#include "microemo/checkpoint/load.h"
#include "microemo/checkpoint/part.h"

// What the loaders of public encoders have in common.

namespace microemo::model {

/// The folder's configuration, which must be of this type; `family` is for the error.
template <class Config>
Config config_of(const std::filesystem::path& folder, const char* family) {
  const checkpoint::HfConfig config = checkpoint::read_hf_config(folder);
  if (const auto* found = std::get_if<Config>(&config.model)) return *found;
  throw CheckpointError("a model of type '{}' is no {} encoder", config.model_type, family)
      .where(config.path)
      .hint(fmt::format("name a folder of a {} model", family));
}

/// Weights of transformer blocks, for require_size.
inline double block_parameters(int64_t layers, int64_t width, int64_t hidden) {
  return double(layers) * double(width) * (4.0 * double(width) + 2.0 * double(hidden));
}

/// Fills the module with the tensors; none of its parameters requires a gradient then.
template <class Module>
std::shared_ptr<Module> frozen_with(std::shared_ptr<Module> module, const checkpoint::NamedTensors& tensors,
                                    const std::filesystem::path& source) {
  for (at::Tensor& parameter : module->parameters()) parameter.requires_grad_(false);
  checkpoint::load_into(*module, tensors, {.source = source});
  return module;
}

}  // namespace microemo::model
