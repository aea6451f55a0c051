#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "microemo/base/files.h"
#include "microemo/data/manifest.h"

namespace microemo::test {

/// A folder as it is when training begins: manifest.jsonl with clips of noise in the splits "train" and "valid" (their videos are
/// stand-ins that nothing decodes), their prepared features in cache/, tokenizer.model, and train.json for a tiny model.
struct PreparedSet {
  std::filesystem::path folder;
  std::vector<data::Clip> clips;

  explicit PreparedSet(const std::filesystem::path& where, uint64_t train_clips = 6, uint64_t valid_clips = 2);
  void write_clips() const;
};

}  // namespace microemo::test
