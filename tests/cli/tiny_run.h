#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "microemo/base/files.h"

namespace microemo::test {

struct TinyModel;

/// A run folder of an untrained tiny model, and a manifest of three clips whose features are in a cache. The clips' files are no
/// media: an evaluation reads the cache alone.
struct TinyRun {
  TemporaryFolder place;
  std::filesystem::path run = place.path() / "run", manifest = place.path() / "test.jsonl", cache = place.path() / "cache";
  std::shared_ptr<const TinyModel> tiny;

  TinyRun();
  void write_checkpoint(int64_t step) const;
  /// Names of the model's parts that hold parameters, sorted.
  std::vector<std::string> parts() const;
};

}  // namespace microemo::test
