#include "microemo/eval/resample.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "microemo/base/error.h"
#include "microemo/base/progress.h"
#include "microemo/base/random.h"
#include "microemo/base/workers.h"
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

/// Items that add the same to the same slots, which are few where items are many: a resample counts how often each was drawn and
/// adds it once.
struct Patterns {
  ScoreParts rows;
  std::vector<uint32_t> of_item;
};

Patterns find_patterns(const ScoreParts& parts) {
  Patterns patterns{{{}, {}, {}, parts.slot_count}, {}};
  std::unordered_map<std::string, uint32_t> numbers;
  std::string row;
  for (size_t item = 0; item < parts.items(); ++item) {
    const size_t first = item == 0 ? 0 : parts.ends[item - 1], count = parts.ends[item] - first;
    row.assign(reinterpret_cast<const char*>(parts.slots.data() + first), count * sizeof(uint32_t));
    row.append(reinterpret_cast<const char*>(parts.amounts.data() + first), count * sizeof(double));
    const auto [place, is_new] = numbers.try_emplace(row, static_cast<uint32_t>(patterns.rows.items()));
    patterns.of_item.push_back(place->second);
    if (!is_new) continue;
    for (size_t at = first; at < first + count; ++at) patterns.rows.add(parts.slots[at], parts.amounts[at]);
    patterns.rows.end_item();
  }
  return patterns;
}

/// How often each pattern is among as many items as there are, drawn with replacement.
std::vector<uint32_t> draw_patterns(const Patterns& patterns, int64_t resample, uint64_t seed) {
  Random random(seed, "bootstrap", {static_cast<uint64_t>(resample)});
  std::vector<uint32_t> times(patterns.rows.items());
  const size_t items = patterns.of_item.size();
  for (size_t i = 0; i < items; ++i) ++times[patterns.of_item[random.below(items)]];
  return times;
}

std::vector<double> sum_patterns(const Patterns& patterns, std::span<const uint32_t> times) {
  std::vector<double> sums(patterns.rows.slot_count);
  for (size_t pattern = 0; pattern < times.size(); ++pattern) {
    if (times[pattern] == 0) continue;
    for (uint64_t at = pattern == 0 ? 0 : patterns.rows.ends[pattern - 1]; at < patterns.rows.ends[pattern]; ++at)
      sums[patterns.rows.slots[at]] += times[pattern] * patterns.rows.amounts[at];
  }
  return sums;
}

/// Calls for every resample, on all processors where there is much to draw: each is a function of its number alone.
void for_each_resample(const char* label, size_t items, const BootstrapOptions& options,
                       const std::function<void(int64_t resample)>& work) {
  constexpr double worth_threads = 1e6, worth_telling = 1e8;
  const double draws = static_cast<double>(items) * static_cast<double>(options.resamples);
  if (draws < worth_threads) {
    for (int64_t resample = 0; resample < options.resamples; ++resample) work(resample);
    return;
  }
  std::optional<Progress> progress;
  if (draws >= worth_telling) progress.emplace(label, "resamples", options.resamples);
  const int64_t done = for_each_parallel(options.resamples, 0, [&](int64_t resample, int) {
    work(resample);
    if (progress) progress->add();
  });
  if (done < options.resamples) throw EnvironmentError("stopped while resamples were drawn").hint("run it again");
}

/// The sums of both runs side by side, cluster by cluster.
ScoreParts join(const ScoreParts& first, const ScoreParts& second) {
  ScoreParts joined{{}, {}, {}, first.slot_count + second.slot_count};
  for (size_t item = 0; item < first.items(); ++item) {
    for (uint64_t at = item == 0 ? 0 : first.ends[item - 1]; at < first.ends[item]; ++at)
      joined.add(first.slots[at], first.amounts[at]);
    for (uint64_t at = item == 0 ? 0 : second.ends[item - 1]; at < second.ends[item]; ++at)
      joined.add(first.slot_count + second.slots[at], second.amounts[at]);
    joined.end_item();
  }
  return joined;
}

/// Share of swapped differences that are at least as large as the one that was seen. `patterns` are of both runs' joined sums.
double exchange_p_value(const Patterns& patterns, const ScoreOfSums& score, double seen, const BootstrapOptions& options) {
  const size_t items = patterns.of_item.size(), half = patterns.rows.slot_count / 2;
  std::vector<double> differences(static_cast<size_t>(options.resamples));
  for_each_resample("exchange", items, options, [&](int64_t repetition) {
    Random random(options.seed, "randomisation", {static_cast<uint64_t>(repetition)});
    std::vector<uint32_t> kept(patterns.rows.items()), swapped(patterns.rows.items());
    for (size_t item = 0; item < items; ++item) ++(random.chance(0.5) ? swapped : kept)[patterns.of_item[item]];
    std::vector<double> sums = sum_patterns(patterns, kept);
    const std::vector<double> others = sum_patterns(patterns, swapped);
    for (size_t slot = 0; slot < sums.size(); ++slot) sums[slot] += others[(slot + half) % sums.size()];
    differences[static_cast<size_t>(repetition)] = score(std::span(sums).subspan(half)) - score(std::span(sums).first(half));
  });
  int64_t repetitions = 0, as_large = 0;
  for (const double difference : differences) {
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
  const Patterns patterns = find_patterns(sum_clusters(parts, clusters));
  std::vector<std::vector<double>> values(scores.size(), std::vector<double>(static_cast<size_t>(options.resamples)));
  for_each_resample("bootstrap", patterns.of_item.size(), options, [&](int64_t resample) {
    const std::vector<double> sums = sum_patterns(patterns, draw_patterns(patterns, resample, options.seed));
    for (size_t score = 0; score < scores.size(); ++score) values[score][static_cast<size_t>(resample)] = scores[score](sums);
  });
  std::vector<Interval> intervals;
  for (auto& drawn : values) intervals.push_back(central_part(std::move(drawn), options.confidence));
  return intervals;
}

PairedTest compare_runs(const ScoreParts& first, const ScoreParts& second, std::span<const uint32_t> clusters,
                        const ScoreOfSums& score, const BootstrapOptions& options) {
  check(first, clusters, options);
  check(second, clusters, options);
  MICROEMO_CHECK(first.slot_count == second.slot_count, "runs with {} and {} sums", first.slot_count, second.slot_count);
  const ScoreParts a = sum_clusters(first, clusters), b = sum_clusters(second, clusters);
  PairedTest test;
  test.first = score(sum_parts(a));
  test.second = score(sum_parts(b));
  test.difference = test.second - test.first;
  const Patterns patterns = find_patterns(join(a, b));
  std::vector<double> differences(static_cast<size_t>(options.resamples));
  for_each_resample("bootstrap", patterns.of_item.size(), options, [&](int64_t resample) {
    const std::vector<double> sums = sum_patterns(patterns, draw_patterns(patterns, resample, options.seed));
    differences[static_cast<size_t>(resample)] =
        score(std::span(sums).subspan(a.slot_count)) - score(std::span(sums).first(a.slot_count));
  });
  test.interval = central_part(std::move(differences), options.confidence);
  test.p_value = exchange_p_value(patterns, score, test.difference, options);
  return test;
}

}  // namespace microemo::eval
