#pragma once
#include <string>
#include <vector>

#include "microemo/eval/score_table.h"
#include "microemo/infer/evaluate.h"
#include "microemo/report/bars.h"

// The scores of one evaluation for people.

namespace microemo::cli {

/// The scores of one way to answer.
struct Arm {
  std::string name;
  eval::ScoreTable scores;
};

std::string arms_table(const std::vector<Arm>& arms);
std::string breakdown_table(const infer::Breakdown& breakdown);
report::BarChart score_chart(const std::string& manifest, const eval::Provenance& provenance, const std::vector<Arm>& arms,
                             const infer::Breakdown& breakdown);

}  // namespace microemo::cli
