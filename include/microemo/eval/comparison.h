#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "microemo/eval/predictions.h"
#include "microemo/eval/resample.h"
#include "microemo/eval/score_table.h"
#include "microemo/eval/wheel.h"

namespace microemo::eval {

/// The labels that one model gave, beside the truths.
struct ComparedRun {
  std::string name;
  std::vector<LabelPair> pairs;
};

/// One run against the first one.
struct RunComparison {
  size_t run = 0;  ///< in the list
  PairedTest test;
  double p_holm = 1;  ///< adjusted for the number of comparisons (Holm 1979)
};

/// F of every run on one item under the wheel's headline groupings; NaN where the truth has no class.
struct ItemScores {
  size_t item = 0;  ///< in the pairs
  std::vector<double> f;
  double spread = 0;  ///< largest less smallest
};

struct Comparison {
  std::vector<double> f;            ///< of each run: mean wheel F over pairs, headline groupings averaged
  std::vector<Interval> intervals;  ///< bootstrap over the clusters
  std::vector<RunComparison> against_first;
  std::vector<ItemScores> items;  ///< the largest spread first, in the order of the pairs among equals
};

/// Scores runs over the same items and tests each against the first one (compare_runs). `clusters` are of the first run's pairs.
/// Throws Error(data) naming ids when the runs do not have the same items with the same truths, Error(internal) without two runs,
/// and as score_predictions for truths that the wheel does not know.
Comparison compare(const std::vector<ComparedRun>& runs, const EmotionWheel& wheel, const BootstrapOptions& options = {},
                   const PairClusters& clusters = {});

}  // namespace microemo::eval
