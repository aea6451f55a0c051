#pragma once
#include <string>
#include <vector>

#include "microemo/eval/metrics.h"
#include "microemo/eval/set_counts.h"

namespace microemo::eval {

/// One metric's value, what its items add to the sums, and the value from sums whose slots begin at 0.
struct ComputedMetric {
  MetricResult result;
  ScoreParts parts;
  ScoreOfSums score;
};

/// `counts` of a metric's groupings, each as long as there are truths.
ComputedMetric compute_sets(const Metric& metric, const std::vector<std::vector<SetCounts>>& counts);
ComputedMetric compute_hits(const Metric& metric, const std::vector<std::vector<SetCounts>>& counts);
ComputedMetric compute_classes(const Metric& metric, const LabelFiles& files);
ComputedMetric compute_cached(const Metric& metric, const LabelFiles& files, const std::map<std::string, std::string>& groups);

}  // namespace microemo::eval
