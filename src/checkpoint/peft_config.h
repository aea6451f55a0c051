#pragma once
#include <filesystem>

#include "microemo/checkpoint/peft.h"

namespace microemo::checkpoint {

/// FOLDER/adapter_config.json; errors as read_adapter has them.
PeftConfig read_peft_config(const std::filesystem::path& folder);
void write_peft_config(const std::filesystem::path& folder, const PeftConfig& config);

}  // namespace microemo::checkpoint
