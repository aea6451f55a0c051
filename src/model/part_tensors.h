#pragma once
#include <filesystem>
#include <string>

#include <torch/nn/module.h>

#include "microemo/checkpoint/tensors.h"

namespace microemo::model {

/// The tensors of one part of our model ("visual_encoder"), by their names in that part, as views of the mapped files. The source
/// is a file or folder under our names or those of a family (docs/checkpoints.md), which is recognised; of a training state the
/// part "model" is read. Throws Error(checkpoint) as TensorSource and plan_keys do, and for a source that has nothing of the
/// part.
checkpoint::NamedTensors part_tensors(const std::filesystem::path& source, const std::string& part);

/// Copies them into the module, whose parameters then require no gradient. Throws Error(checkpoint) as load_into does.
void load_part(torch::nn::Module& module, const checkpoint::NamedTensors& tensors, const std::filesystem::path& source);

}  // namespace microemo::model
