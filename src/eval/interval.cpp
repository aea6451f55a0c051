#include "microemo/eval/interval.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <utility>

#include "microemo/base/error.h"
#include "microemo/base/random.h"
#include "percentile.h"

namespace microemo::eval {
namespace {

/// Positions of the items of every cluster, clusters in the order of their first item.
std::vector<std::vector<size_t>> members_of(const std::vector<std::string>& clusters) {
  std::map<std::string, size_t> number;
  std::vector<std::vector<size_t>> members;
  for (size_t item = 0; item < clusters.size(); ++item) {
    const auto [place, is_new] = number.emplace(clusters[item], members.size());
    if (is_new) members.emplace_back();
    members[place->second].push_back(item);
  }
  return members;
}

double percentile(const std::vector<double>& sorted, double fraction) {
  const double place = fraction * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (place - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

}  // namespace

Interval central_part(std::vector<double> values, double confidence) {
  constexpr double none = std::numeric_limits<double>::quiet_NaN();
  std::erase_if(values, [](double value) { return !std::isfinite(value); });
  if (values.empty()) return {none, none};
  std::ranges::sort(values);
  const double tail = (1 - confidence) / 2;
  return {percentile(values, tail), percentile(values, 1 - tail)};
}

Interval bootstrap_interval(const std::vector<std::string>& clusters,
                            const std::function<double(const std::vector<size_t>&)>& statistic, const BootstrapOptions& options) {
  MICROEMO_CHECK(!clusters.empty() && options.resamples > 0 && options.confidence > 0 && options.confidence < 1,
                 "a bootstrap of {} items, {} resamples, confidence {}", clusters.size(), options.resamples, options.confidence);
  const auto members = members_of(clusters);
  std::vector<double> values;
  std::vector<size_t> drawn;
  for (int64_t resample = 0; resample < options.resamples; ++resample) {
    Random random(options.seed, "bootstrap", {static_cast<uint64_t>(resample)});
    drawn.clear();
    for (size_t i = 0; i < members.size(); ++i) {
      const auto& cluster = members[random.below(members.size())];
      drawn.insert(drawn.end(), cluster.begin(), cluster.end());
    }
    values.push_back(statistic(drawn));
  }
  return central_part(std::move(values), options.confidence);
}

std::string few_clusters_text(int64_t clusters, const std::string& kind) {
  constexpr int64_t enough = 20;
  if (clusters >= enough) return {};
  return fmt::format("intervals over {} {}{} say little: over so few they are too narrow", clusters, kind,
                     clusters == 1 ? "" : "s");
}

}  // namespace microemo::eval
