#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "microemo/eval/label_table.h"

namespace microemo::eval {

/// One of the nine sets of MER-UniBench (AffectGPT, evaluation.py and my_affectgpt/datasets), with its rules.
struct UniBenchSet {
  std::string name;                 ///< "mer2023", …
  std::string metric;               ///< primary: hit2025-l1, sentiment-waf or ew2025-l1
  std::vector<std::string> others;  ///< that the public code reports beside it
  int64_t items = 0;                ///< of its test split
  std::vector<std::string> labels;  ///< of a whole number its name, in that order; empty where truths are valences or open
  std::string corpus;               ///< the array of the public label file (.npz) that holds the test split
  std::string only_ids = {};        ///< ids of the corpus that begin so are the split; empty: all
};

const std::vector<UniBenchSet>& unibench_sets();

/// Throws Error(config) that lists the sets, with the nearest name.
const UniBenchSet& unibench_set(std::string_view name);

/// The truths of a set from its public label file, pickled dictionaries {id: {"emo": …, "val": …}} that are read as data, or from
/// any file that read_label_table reads. Whole numbers become the set's labels; an open truth without labels becomes "neutral",
/// as in the public loaders. Throws Error(data) when there are not as many items as the split has, or a label is none of the set.
LabelTable read_unibench_truths(const std::filesystem::path& path, const UniBenchSet& set, Vocabulary& words);

}  // namespace microemo::eval
