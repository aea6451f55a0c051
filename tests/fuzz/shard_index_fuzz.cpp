#include "fuzz.h"
#include "microemo/formats/shard_index.h"

namespace {

void open_file(const std::filesystem::path& path) {
  for (const auto& [name, file] : microemo::formats::read_shard_index(path))
    if (file.empty() || file.find('/') != std::string::npos) std::abort();
}

}  // namespace

MICROEMO_FUZZ_TARGET(open_file)
