#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "microemo/base/json.h"
#include "microemo/data/controls.h"
#include "microemo/model/options.h"
#include "microemo/report/bars.h"

// Several evaluations of the same clips side by side.

namespace microemo::cli {

struct EvaluationRow {
  std::string name;
  std::filesystem::path folder;
  Json scores;  ///< its scores.json
};

struct EvaluationRows {
  std::string name;  ///< of their files
  std::string title;
  std::vector<EvaluationRow> rows = {};
  bool over_checkpoints = false;  ///< the rows are one model at several steps: the last, the mean and the best are told
};

/// Every set of the modalities that the model has, the full one first, and the question alone at the end.
std::vector<data::ControlOptions> control_grid(const model::ModelOptions& model, const data::ControlOptions& base);

/// The checkpoints "A-B:STEP" of a run. Throws Error(config) for what is no such range, Error(checkpoint) naming the steps that
/// are missing, with those that are there.
std::vector<std::filesystem::path> checkpoints_of_range(const std::filesystem::path& run, const std::string& range);

/// "metric", what it was made from (eval::Provenance), "clusters" of the intervals, "rows": [{"name", "folder", "pairs",
/// "f_score", "low", "high"}, …], and over checkpoints "fixed" (the last), "mean", "standard_deviation" (n - 1) and "best",
/// chosen on the same clips.
Json to_json(const EvaluationRows& rows);
std::string rows_text(const EvaluationRows& rows);
report::BarChart rows_chart(const EvaluationRows& rows);

}  // namespace microemo::cli
