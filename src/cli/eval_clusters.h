#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "microemo/data/manifest.h"
#include "microemo/eval/score_table.h"

namespace microemo::cli {

/// The dialogue and the speaker of every pair (of the utterance, else of its clip), empty where the manifest names none.
struct PairNames {
  std::vector<std::string> dialogues, speakers;
};
PairNames names_of(const std::vector<eval::LabelPair>& pairs, const std::vector<data::Clip>& clips);

/// The labels.jsonl of an evaluation, whose names read_label_table finds again.
void write_labels(const std::filesystem::path& file, const std::vector<eval::LabelPair>& pairs, const PairNames& names,
                  const std::string& extractor);

}  // namespace microemo::cli
