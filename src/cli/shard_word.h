#pragma once
#include <optional>
#include <string>

#include "microemo/base/shard.h"

namespace microemo::cli {

/// What --shard names: "2/8", or "rank" for the part of this process among those that a launcher started; nothing for an empty
/// word. Throws as parse_shard and parallel::launch_context do.
std::optional<Shard> shard_of_word(const std::string& word);

}  // namespace microemo::cli
