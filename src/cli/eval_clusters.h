#pragma once
#include <vector>

#include "microemo/data/manifest.h"
#include "microemo/eval/score_table.h"

namespace microemo::cli {

/// Speakers where the manifest names one for every pair (of the utterance, else of its clip), otherwise clips.
eval::PairClusters clusters_of(const std::vector<eval::LabelPair>& pairs, const std::vector<data::Clip>& clips);

}  // namespace microemo::cli
