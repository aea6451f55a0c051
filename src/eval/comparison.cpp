#include "microemo/eval/comparison.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include <fmt/ranges.h>

#include "microemo/base/error.h"
#include "microemo/eval/headline.h"
#include "microemo/eval/scores.h"

namespace microemo::eval {
namespace {

constexpr size_t most_named = 8;

std::string named(const std::vector<std::string>& ids) {
  const std::vector<std::string> first(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(std::min(ids.size(), most_named)));
  return fmt::format("{}{}", fmt::join(first, ", "),
                     ids.size() > most_named ? fmt::format(" and {} more", ids.size() - most_named) : "");
}

/// The pairs of a run in the order of the first one's.
std::vector<LabelPair> in_order(const ComparedRun& first, const ComparedRun& run) {
  std::map<std::string, const LabelPair*> by_id;
  for (const LabelPair& pair : run.pairs) by_id[pair.id] = &pair;
  std::vector<LabelPair> ordered;
  std::vector<std::string> missing, other;
  for (const LabelPair& pair : first.pairs) {
    const auto found = by_id.find(pair.id);
    if (found == by_id.end()) {
      missing.push_back(pair.id);
      continue;
    }
    if (found->second->truth != pair.truth) other.push_back(pair.id);
    ordered.push_back(*found->second);
    by_id.erase(found);
  }
  std::vector<std::string> more;
  for (const auto& [id, pair] : by_id) more.push_back(id);
  const auto refuse = [&](const std::string& what, const std::vector<std::string>& ids) {
    throw DataError("{} {}: {}", run.name, what, named(ids)).hint("compare evaluations of the same clips with the same labels");
  };
  if (!missing.empty()) refuse(fmt::format("lacks items of {}", first.name), missing);
  if (!more.empty()) refuse(fmt::format("has items that {} lacks", first.name), more);
  if (!other.empty()) refuse(fmt::format("has other true labels than {}", first.name), other);
  return ordered;
}

/// Slot 2g sums F under grouping g, slot 2g + 1 counts.
ScoreParts parts_of(const std::vector<LabelPair>& pairs, const EmotionWheel& wheel) {
  ScoreParts parts;
  parts.slot_count = static_cast<uint32_t>(2 * wheel.headline.size());
  for (const LabelPair& pair : pairs) {
    for (uint32_t g = 0; g < wheel.headline.size(); ++g) {
      const auto score = score_pair(pair, wheel.grouping(wheel.headline[g]));
      if (!score) continue;
      parts.add(2 * g, score->f);
      parts.add(2 * g + 1, 1);
    }
    parts.end_item();
  }
  return parts;
}

double mean_of_groupings(std::span<const double> sums) {
  double sum = 0;
  for (size_t g = 0; g < sums.size(); g += 2) sum += sums[g] / sums[g + 1];
  return sum / (static_cast<double>(sums.size()) / 2);
}

std::vector<uint32_t> numbered(const std::vector<std::string>& names) {
  std::map<std::string, uint32_t> numbers;
  std::vector<uint32_t> clusters;
  for (const std::string& name : names)
    clusters.push_back(numbers.try_emplace(name, static_cast<uint32_t>(numbers.size())).first->second);
  return clusters;
}

/// Holm (1979): the k-th smallest of m times m - k + 1, never below one that is smaller.
void adjust(std::vector<RunComparison>& comparisons) {
  std::vector<size_t> order(comparisons.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, {}, [&](size_t i) { return comparisons[i].test.p_value; });
  double highest = 0;
  for (size_t k = 0; k < order.size(); ++k) {
    highest = std::max(highest, std::min(1.0, static_cast<double>(order.size() - k) * comparisons[order[k]].test.p_value));
    comparisons[order[k]].p_holm = highest;
  }
}

}  // namespace

Comparison compare(const std::vector<ComparedRun>& runs, const EmotionWheel& wheel, const BootstrapOptions& options,
                   const PairClusters& of_pairs) {
  MICROEMO_CHECK(runs.size() > 1, "{} run is compared with nothing", runs.size());
  std::vector<std::vector<LabelPair>> pairs{runs[0].pairs};
  for (size_t i = 1; i < runs.size(); ++i) pairs.push_back(in_order(runs[0], runs[i]));
  const std::vector<uint32_t> clusters = numbered(clusters_of_pairs(pairs[0], of_pairs));
  std::vector<ScoreParts> parts;
  for (const auto& of_run : pairs) parts.push_back(parts_of(of_run, wheel));
  if (pairs[0].empty() || parts[0].amounts.empty())
    throw DataError("none of the {} truths has a label that the wheel '{}' knows", pairs[0].size(), wheel.name)
        .where(wheel.path)
        .hint("labels must be in the wheel's language");
  Comparison comparison;
  const ScoreOfSums score = mean_of_groupings;
  for (const ScoreParts& of_run : parts) {
    comparison.f.push_back(score(sum_parts(of_run)));
    comparison.intervals.push_back(bootstrap_scores(of_run, clusters, std::span(&score, 1), options).front());
  }
  for (size_t i = 1; i < runs.size(); ++i)
    comparison.against_first.push_back({i, compare_runs(parts[0], parts[i], clusters, score, options)});
  adjust(comparison.against_first);
  for (size_t item = 0; item < pairs[0].size(); ++item) {
    ItemScores scores;
    scores.item = item;
    for (const auto& of_run : pairs)
      scores.f.push_back(headline_f(of_run[item], wheel).value_or(std::numeric_limits<double>::quiet_NaN()));
    const auto [least, most] = std::ranges::minmax(scores.f);
    scores.spread = std::isnan(scores.f[0]) ? 0 : most - least;
    comparison.items.push_back(std::move(scores));
  }
  std::ranges::stable_sort(comparison.items, std::ranges::greater(), &ItemScores::spread);
  return comparison;
}

}  // namespace microemo::eval
