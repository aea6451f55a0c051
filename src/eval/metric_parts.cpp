#include "metric_parts.h"

#include <algorithm>
#include <limits>
#include <set>

#include "microemo/base/error.h"
#include "microemo/eval/classification.h"
#include "microemo/eval/labels.h"
#include "microemo/eval/scores.h"

namespace microemo::eval {
namespace {

constexpr double none = std::numeric_limits<double>::quiet_NaN();

double mean_or_nan(double sum, double count) { return count == 0 ? none : sum / count; }

EmptyRule rule_of(const Metric& metric) { return metric.release == "2026" ? EmptyRule::zero : EmptyRule::nan; }

/// Items that are scored under at least one grouping.
int64_t scored_items(const std::vector<std::vector<SetCounts>>& counts) {
  int64_t scored = 0;
  for (size_t item = 0; item < counts.front().size(); ++item)
    scored += std::ranges::any_of(counts, [&](const auto& column) { return column[item].truth > 0; });
  return scored;
}

void count_items(ComputedMetric& computed, const std::vector<std::vector<SetCounts>>& counts) {
  computed.result.n = scored_items(counts);
  if (counts.size() == 1) return;
  for (const auto& column : counts)
    computed.result.n_per_wheel.push_back(std::ranges::count_if(column, [](const SetCounts& count) { return count.truth > 0; }));
}

/// Three slots a grouping: items, precision, recall.
double f_of_sums(std::span<const double> sums, EmptyRule rule) {
  double total = 0;
  for (size_t at = 0; at + 3 <= sums.size(); at += 3) {
    const bool empty = sums[at] == 0 && rule == EmptyRule::zero;
    const double precision = empty ? 0 : mean_or_nan(sums[at + 1], sums[at]);
    const double recall = empty ? 0 : mean_or_nan(sums[at + 2], sums[at]);
    total += f_of_means(precision, recall, rule);
  }
  return total / static_cast<double>(sums.size() / 3);
}

/// Two slots a grouping: items and their values.
double mean_of_sums(std::span<const double> sums) {
  double total = 0;
  for (size_t at = 0; at + 2 <= sums.size(); at += 2) total += mean_or_nan(sums[at + 1], sums[at]);
  return total / static_cast<double>(sums.size() / 2);
}

/// Three slots a class: support, predicted, right.
ClassMeans class_means_of_sums(std::span<const double> sums) {
  std::vector<ClassScore> scores(sums.size() / 3);
  for (size_t at = 0; at < scores.size(); ++at) {
    const double support = sums[3 * at], predicted = sums[3 * at + 1], right = sums[3 * at + 2];
    scores[at].support = static_cast<int64_t>(support);
    scores[at].right = static_cast<int64_t>(right);
    scores[at].recall = support == 0 ? 0 : right / support;
    scores[at].f = support + predicted == 0 ? 0 : 2 * right / (support + predicted);
  }
  return mean_classes(scores);
}

double value_of(MetricFamily family, const ClassMeans& means) {
  if (family == MetricFamily::uar) return means.uar;
  return family == MetricFamily::war || family == MetricFamily::sentiment_accuracy ? means.war : means.waf;
}

ScoreParts class_parts(const ClassPairs& pairs) {
  ScoreParts parts{{}, {}, {}, static_cast<uint32_t>(3 * pairs.classes.size())};
  for (size_t item = 0; item < pairs.truth.size(); ++item) {
    const int32_t truth = pairs.truth[item], predicted = pairs.predicted[item];
    if (truth >= 0) {
      parts.add(3 * static_cast<uint32_t>(truth), 1);
      if (predicted >= 0) parts.add(3 * static_cast<uint32_t>(predicted) + 1, 1);
      if (predicted == truth) parts.add(3 * static_cast<uint32_t>(truth) + 2, 1);
    }
    parts.end_item();
  }
  return parts;
}

using Groups = std::unordered_map<std::string, std::string>;

std::set<std::string> grouped(const LabelTable& table, size_t item, const Vocabulary& words, const Groups& groups,
                              std::map<std::string, int64_t>& unknown) {
  std::set<std::string> classes;
  for (const uint32_t number : table.labels_of(item)) {
    const std::string word = normalise_label(words.text(number));
    const auto found = groups.find(word);
    if (found == groups.end()) ++unknown[word];
    classes.insert(found == groups.end() ? word : found->second);
  }
  return classes;
}

void check_groups(const LabelFiles& files, const std::map<std::string, std::string>& groups) {
  std::set<std::string_view> known;
  for (size_t item = 0; item < files.truths.size(); ++item) known.insert(files.truths.id(item));
  std::vector<std::string> missing;
  for (const auto& [id, text] : groups)
    if (!known.contains(id)) missing.push_back(id);
  if (missing.empty()) return;
  throw DataError("{} of {} cached groupings have no truth: {}", missing.size(), groups.size(), list_ids(missing))
      .where(files.truths.path)
      .hint("groupings were made for one pair of files; score these, or name the groupings of this pair");
}

}  // namespace

ComputedMetric compute_sets(const Metric& metric, const std::vector<std::vector<SetCounts>>& counts) {
  const EmptyRule rule = rule_of(metric);
  ComputedMetric computed{{metric}, {}, [rule](std::span<const double> sums) { return f_of_sums(sums, rule); }};
  count_items(computed, counts);
  std::vector<double> precisions, recalls, scores;
  for (const auto& column : counts) {
    const SetMeans means = mean_sets(column, rule);
    precisions.push_back(means.precision);
    recalls.push_back(means.recall);
    scores.push_back(means.f);
  }
  computed.result.numbers = {
      {"precision", mean_like_numpy(precisions)}, {"recall", mean_like_numpy(recalls)}, {"f_score", mean_like_numpy(scores)}};
  return computed;
}

ComputedMetric compute_hits(const Metric& metric, const std::vector<std::vector<SetCounts>>& counts) {
  ComputedMetric computed{{metric}, {}, mean_of_sums};
  count_items(computed, counts);
  std::vector<double> values;
  for (const auto& column : counts) {
    const HitMeans means = mean_hits(column);
    values.push_back(metric.family == MetricFamily::hit_rate ? means.hit : means.mscore);
  }
  computed.result.numbers = {{"value", mean_like_numpy(values)}};
  return computed;
}

ComputedMetric compute_classes(const Metric& metric, const LabelFiles& files) {
  const ClassPairs pairs = is_of_sentiment(metric) ? pair_sentiment(files.predictions, files.truths, files.match, files.words)
                                                   : pair_classes(files.predictions, files.truths, files.match, files.words);
  const MetricFamily family = metric.family;
  ComputedMetric computed{{metric}, class_parts(pairs), [family](std::span<const double> sums) {
                            return value_of(family, class_means_of_sums(sums));
                          }};
  const ClassMeans means = mean_classes(score_classes(pairs));
  computed.result.n = means.n;
  computed.result.numbers = {{"value", value_of(family, means)}};
  computed.result.unknown.predicted = pairs.unknown;
  if (pairs.without_label > 0)
    computed.result.notes.push_back(fmt::format("{} predictions have no label and count as wrong", pairs.without_label));
  if (pairs.several_labels > 0)
    computed.result.notes.push_back(fmt::format("{} predictions have several labels: {}", pairs.several_labels,
                                                is_of_sentiment(metric) ? "they are not positive" : "the first one counts"));
  return computed;
}

ComputedMetric compute_cached(const Metric& metric, const LabelFiles& files, const std::map<std::string, std::string>& groups) {
  check_groups(files, groups);
  ComputedMetric computed{{metric}, {{}, {}, {}, 3}, [](std::span<const double> sums) {
                            return (mean_or_nan(sums[1], sums[0]) + mean_or_nan(sums[2], sums[0])) / 2;
                          }};
  MetricResult& result = computed.result;
  std::vector<double> accuracies, recalls;
  for (size_t item = 0; item < files.truths.size(); ++item) {
    const auto text = groups.find(std::string(files.truths.id(item)));
    if (text != groups.end()) {
      const Groups grouping = parse_cached_groups(text->second);
      const auto truth = grouped(files.truths, item, files.words, grouping, result.unknown.truth);
      const auto predicted =
          grouped(files.predictions, files.match.prediction_of[item], files.words, grouping, result.unknown.predicted);
      if (truth.empty() && !predicted.empty())
        throw DataError("the truth of '{}' is empty, its prediction is not", files.truths.id(item))
            .where(files.truths.path, files.truths.lines[item])
            .hint("mer2024-gpt divides by the number of true labels; leave the item out of truths and groupings");
      const auto shared =
          static_cast<double>(std::ranges::count_if(truth, [&](const auto& one) { return predicted.contains(one); }));
      accuracies.push_back(predicted.empty() ? 0 : shared / static_cast<double>(predicted.size()));
      recalls.push_back(predicted.empty() ? 0 : shared / static_cast<double>(truth.size()));
      computed.parts.add(0, 1);
      computed.parts.add(1, accuracies.back());
      computed.parts.add(2, recalls.back());
    }
    computed.parts.end_item();
  }
  result.n = static_cast<int64_t>(accuracies.size());
  if (result.n < static_cast<int64_t>(files.truths.size()))
    result.notes.push_back(fmt::format("{} truths have no cached grouping and are left out, as in the public code",
                                       static_cast<int64_t>(files.truths.size()) - result.n));
  const double accuracy = mean_like_numpy(accuracies), recall = mean_like_numpy(recalls);
  result.numbers = {{"accuracy", accuracy}, {"recall", recall}, {"average", (accuracy + recall) / 2}};
  return computed;
}

}  // namespace microemo::eval
