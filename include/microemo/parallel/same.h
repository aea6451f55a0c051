#pragma once
#include <string>
#include <utility>
#include <vector>

#include "microemo/parallel/group.h"

namespace microemo::parallel {

/// What has to be the same on every rank: its name ("the configuration") and a text, a hash for instance.
using Facts = std::vector<std::pair<std::string, std::string>>;

/// Throws Error(environment), on every rank, that names what differs and on which ranks. The names are the same everywhere.
void require_same(const Group& group, const Facts& facts);

}  // namespace microemo::parallel
