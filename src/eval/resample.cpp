#include "microemo/eval/resample.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "microemo/base/error.h"
#include "microemo/base/random.h"
#include "percentile.h"

namespace microemo::eval {
namespace {

/// The same parts with a cluster in the place of an item: what its items add to one slot is summed.
ScoreParts sum_clusters(const ScoreParts& parts, std::span<const uint32_t> clusters) {
  const size_t count = clusters.empty() ? 0 : size_t{1} + *std::ranges::max_element(clusters);
  std::vector<std::vector<uint32_t>> members(count);
  for (uint32_t item = 0; item < clusters.size(); ++item) members[clusters[item]].push_back(item);
  std::vector<double> sums(parts.slot_count);
  std::vector<bool> touched(parts.slot_count);
  std::vector<uint32_t> slots;
  ScoreParts summed{{}, {}, {}, parts.slot_count};
  for (const auto& cluster : members) {
    slots.clear();
    for (const uint32_t item : cluster)
      for (uint64_t at = item == 0 ? 0 : parts.ends[item - 1]; at < parts.ends[item]; ++at) {
        const uint32_t slot = parts.slots[at];
        if (!touched[slot]) slots.push_back(slot);
        touched[slot] = true;
        sums[slot] += parts.amounts[at];
      }
    for (const uint32_t slot : slots) {
      summed.add(slot, std::exchange(sums[slot], 0));
      touched[slot] = false;
    }
    summed.end_item();
  }
  return summed;
}

void add_item(const ScoreParts& parts, size_t item, std::vector<double>& sums) {
  for (uint64_t at = item == 0 ? 0 : parts.ends[item - 1]; at < parts.ends[item]; ++at)
    sums[parts.slots[at]] += parts.amounts[at];
}

void check(const ScoreParts& parts, std::span<const uint32_t> clusters, const BootstrapOptions& options) {
  MICROEMO_CHECK(parts.items() == clusters.size(), "{} items and {} clusters", parts.items(), clusters.size());
  MICROEMO_CHECK(!clusters.empty() && options.resamples > 0 && options.confidence > 0 && options.confidence < 1,
                 "a bootstrap of {} items, {} resamples, confidence {}", clusters.size(), options.resamples, options.confidence);
}

/// Share of swapped differences that are at least as large as the one that was seen.
double exchange_p_value(const ScoreParts& first, const ScoreParts& second, const ScoreOfSums& score, double seen,
                        const BootstrapOptions& options) {
  int64_t repetitions = 0, as_large = 0;
  for (int64_t repetition = 0; repetition < options.resamples; ++repetition) {
    Random random(options.seed, "randomisation", {static_cast<uint64_t>(repetition)});
    std::vector<double> a(first.slot_count), b(first.slot_count);
    for (size_t cluster = 0; cluster < first.items(); ++cluster) {
      const bool swap = random.chance(0.5);
      add_item(swap ? second : first, cluster, a);
      add_item(swap ? first : second, cluster, b);
    }
    const double difference = score(b) - score(a);
    if (!std::isfinite(difference)) continue;
    ++repetitions;
    // A swap of equal parts sums the same numbers in another order.
    if (std::abs(difference) >= std::abs(seen) - 1e-12) ++as_large;
  }
  return static_cast<double>(1 + as_large) / static_cast<double>(1 + repetitions);
}

}  // namespace

std::vector<double> sum_parts(const ScoreParts& parts) {
  std::vector<double> sums(parts.slot_count);
  for (size_t item = 0; item < parts.items(); ++item) add_item(parts, item, sums);
  return sums;
}

std::vector<Interval> bootstrap_scores(const ScoreParts& parts, std::span<const uint32_t> clusters,
                                       std::span<const ScoreOfSums> scores, const BootstrapOptions& options) {
  check(parts, clusters, options);
  const ScoreParts summed = sum_clusters(parts, clusters);
  std::vector<std::vector<double>> values(scores.size());
  std::vector<double> sums;
  for (int64_t resample = 0; resample < options.resamples; ++resample) {
    Random random(options.seed, "bootstrap", {static_cast<uint64_t>(resample)});
    sums.assign(summed.slot_count, 0);
    for (size_t i = 0; i < summed.items(); ++i) add_item(summed, random.below(summed.items()), sums);
    for (size_t score = 0; score < scores.size(); ++score) values[score].push_back(scores[score](sums));
  }
  std::vector<Interval> intervals;
  for (auto& drawn : values) intervals.push_back(central_part(std::move(drawn), options.confidence));
  return intervals;
}

PairedTest compare_runs(const ScoreParts& first, const ScoreParts& second, std::span<const uint32_t> clusters,
                        const ScoreOfSums& score, const BootstrapOptions& options) {
  check(first, clusters, options);
  check(second, clusters, options);
  const ScoreParts a = sum_clusters(first, clusters), b = sum_clusters(second, clusters);
  PairedTest test;
  test.first = score(sum_parts(a));
  test.second = score(sum_parts(b));
  test.difference = test.second - test.first;
  std::vector<double> differences;
  for (int64_t resample = 0; resample < options.resamples; ++resample) {
    Random random(options.seed, "bootstrap", {static_cast<uint64_t>(resample)});
    std::vector<double> of_a(a.slot_count), of_b(b.slot_count);
    for (size_t i = 0; i < a.items(); ++i) {
      const size_t cluster = random.below(a.items());
      add_item(a, cluster, of_a);
      add_item(b, cluster, of_b);
    }
    differences.push_back(score(of_b) - score(of_a));
  }
  test.interval = central_part(std::move(differences), options.confidence);
  test.p_value = exchange_p_value(a, b, score, test.difference, options);
  return test;
}

}  // namespace microemo::eval
