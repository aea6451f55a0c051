#pragma once
#include <filesystem>
#include <string>

#include "microemo/checkpoint/tensors.h"

namespace microemo::checkpoint {

/// The tensors of one part of our model ("audio_encoder", "decoder") under our names without the part's own, as TensorSource maps
/// them, so frozen. `path` is a public file or folder of a family of key_map.h (recognised when it is not named), or one with our
/// names; of the file of a training state, the part "model". Throws Error(checkpoint) as TensorSource and plan_keys do, so for a
/// file of another family, and when there is nothing of the part.
NamedTensors read_part(const std::filesystem::path& path, const std::string& part, const std::string& family = {});

/// All parts of such a file under our full names ("image_qformer.queries"). Throws as read_part does.
NamedTensors read_all_parts(const std::filesystem::path& path, const std::string& family = {});

/// Throws Error(checkpoint) when a configuration asks for far more parameters than its files hold: before anything is allocated,
/// for a wrong config.json may ask for more than any memory has.
void require_size(double asked, const NamedTensors& held, const std::filesystem::path& path);

}  // namespace microemo::checkpoint
