#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "microemo/eval/interval.h"

namespace microemo::eval {

/// What every item adds to sums that scores are functions of: a sparse matrix, item by item. All scores of a report share one, so
/// that a resample is drawn and summed once.
struct ScoreParts {
  std::vector<uint64_t> ends;  ///< of every item, in `slots` and `amounts`
  std::vector<uint32_t> slots;
  std::vector<double> amounts;
  uint32_t slot_count = 0;

  void add(uint32_t slot, double amount) {
    slots.push_back(slot);
    amounts.push_back(amount);
  }
  void end_item() { ends.push_back(slots.size()); }
  size_t items() const { return ends.size(); }
};

/// A score from the sums over the items that were drawn.
using ScoreOfSums = std::function<double(std::span<const double> sums)>;

/// The sums over all items.
std::vector<double> sum_parts(const ScoreParts& parts);

/// Percentile intervals of all scores from one series of resamples, as bootstrap_interval draws them. `clusters` has the number
/// of every item's cluster: 0 to the number of clusters less 1. Throws as bootstrap_interval.
std::vector<Interval> bootstrap_scores(const ScoreParts& parts, std::span<const uint32_t> clusters,
                                       std::span<const ScoreOfSums> scores, const BootstrapOptions& options = {});

/// Two runs over the same items.
struct PairedTest {
  double first = 0, second = 0;
  double difference = 0;  ///< second − first
  Interval interval;      ///< of the difference: paired bootstrap, the same clusters drawn for both runs
  double p_value = 1;     ///< two-sided, that the runs are exchangeable: randomisation test
};

/// Randomisation (Noreen 1989; Yeh 2000): in every repetition each cluster changes sides with probability 1/2, and the p-value is
/// (1 + repetitions whose difference is at least as large) / (1 + repetitions). A pure function of its arguments; repetitions
/// whose scores are no numbers are left out. Throws Error(internal) when the runs have other numbers of items, and as
/// bootstrap_interval.
PairedTest compare_runs(const ScoreParts& first, const ScoreParts& second, std::span<const uint32_t> clusters,
                        const ScoreOfSums& score, const BootstrapOptions& options = {});

}  // namespace microemo::eval
