#include "shard_word.h"

#include "microemo/parallel/launch_context.h"

namespace microemo::cli {

std::optional<Shard> shard_of_word(const std::string& word) {
  if (word.empty()) return std::nullopt;
  if (word != "rank") return parse_shard(word);
  const parallel::LaunchContext launch = parallel::launch_context(parallel::environment_variables());
  return Shard{launch.rank + 1, launch.world};
}

}  // namespace microemo::cli
