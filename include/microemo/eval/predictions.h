#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "microemo/eval/label_table.h"

namespace microemo::eval {

/// The labels of one clip or one utterance, as a file has them.
struct LabelledItem {
  std::string id;
  std::string clip;  ///< what the id belongs to: the clip of an utterance, otherwise the id itself
  std::vector<std::string> labels;
  int64_t line = 0;            ///< in a text file, 1-based; of an .npz, the position from 1
  std::string extractor = {};  ///< what made the labels; empty where no file names it
};

struct LabelFile : LabelSource {
  std::vector<LabelledItem> items;
  bool names_clusters = false;  ///< dialogues or speakers stand in the file, which items do not have here
};

/// The id of an utterance in predictions: "<clip>/<number>", numbered from 0.
std::string utterance_id(const std::string& clip, int64_t number);

/// Predictions or truths in any of the forms of read_label_table, which says what is thrown.
LabelFile read_label_file(const std::filesystem::path& path);

/// A prediction beside its truth.
struct LabelPair {
  std::string id, clip;
  std::vector<std::string> truth, predicted;
};

/// In the order of the truths. Throws Error(data) that lists the ids when a truth has no prediction or a prediction has no truth.
std::vector<LabelPair> match_labels(const LabelFile& predictions, const LabelFile& truths);

}  // namespace microemo::eval
