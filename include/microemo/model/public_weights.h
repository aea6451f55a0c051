#pragma once
#include <filesystem>

#include "microemo/checkpoint/load.h"
#include "microemo/model/microemo.h"

namespace microemo::model {

/// Fills the model with what a public file or folder holds (families of checkpoint/key_map.h; of a training state the part
/// "model"; a PEFT adapter's factors), or one with our names. What the file lacks keeps its values; with `allow_unexpected` parts
/// that the model lacks are left aside. Tables of positions of another number of rows are stretched (nearest_positions). Throws
/// Error(checkpoint) as read_all_parts and load_into do, and Error(config) when what a folder's config says and its tensors do
/// not show is not what the model computes: heads, rotary positions, epsilon, tied output rows and sliding window of a decoder
/// (config.json), the scale of an adapter (adapter_config.json); then nothing has changed. `instead` as load_into has it.
checkpoint::LoadReport load_public_weights(MicroEmo& model, const std::filesystem::path& path, bool allow_unexpected,
                                           const std::map<std::string, checkpoint::OtherTarget>& instead = {});

}  // namespace microemo::model
