#pragma once
#include <string>
#include <vector>

#include "microemo/eval/interval.h"
#include "microemo/eval/metrics.h"

namespace microemo::cli {

/// What `score --metric` was told.
struct ScoreMetricsWords {
  std::string predictions, truths, wheels, synonyms, dataset, clusters = "best";
  std::string per_sample, per_class, confusion;  ///< CSV files to write; empty: none
  std::vector<std::string> metrics;
  eval::BootstrapOptions bootstrap;
  bool json = false;
};

/// Scores and prints. Throws Error(config) for a metric that lacks --wheels or --synonyms, and for one of these without a metric
/// that uses it.
void score_with_metrics(const ScoreMetricsWords& words);

}  // namespace microemo::cli
