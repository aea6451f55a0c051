#pragma once
#include <string>
#include <vector>

#include "microemo/base/json.h"
#include "microemo/eval/interval.h"
#include "microemo/eval/metrics.h"

namespace CLI {
class App;
}

namespace microemo::cli {

/// What every command that scores by the public metrics is told.
struct BenchmarkWords {
  std::string wheels;
  eval::BootstrapOptions bootstrap;
};
/// --wheels, --bootstrap and --seed.
void add_benchmark_options(CLI::App& command, BenchmarkWords& words);

/// What `score --metric` was told.
struct ScoreMetricsWords : BenchmarkWords {
  std::string predictions, truths, synonyms, dataset, clusters = "best";
  std::string per_sample, per_class, confusion;  ///< CSV files to write; empty: none
  std::vector<std::string> metrics;
  bool json = false;
};

/// Scores and prints. Throws Error(config) for a metric that lacks --wheels or --synonyms, and for one of these without a metric
/// that uses it.
void score_with_metrics(const ScoreMetricsWords& words);

/// The same without printing the result: what --json prints. Texts of paths need not be UTF-8: json_text writes them.
Json score_files(const ScoreMetricsWords& words);

}  // namespace microemo::cli
