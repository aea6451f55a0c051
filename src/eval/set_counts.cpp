#include "microemo/eval/set_counts.h"

#include <algorithm>
#include <limits>
#include <map>

#include "microemo/eval/labels.h"

namespace microemo::eval {
namespace {

constexpr double none = std::numeric_limits<double>::quiet_NaN();

double ratio(uint16_t part, uint16_t whole) { return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole); }

double block_sum(std::span<const double> values) {
  double partial[8];
  std::copy_n(values.begin(), 8, partial);
  size_t at = 8;
  for (; at + 8 <= values.size(); at += 8)
    for (size_t i = 0; i < 8; ++i) partial[i] += values[at + i];
  double sum = ((partial[0] + partial[1]) + (partial[2] + partial[3])) + ((partial[4] + partial[5]) + (partial[6] + partial[7]));
  for (; at < values.size(); ++at) sum += values[at];
  return sum;
}

/// numpy/_core/src/umath/loops_utils.h.src, pairwise_sum.
double pairwise_sum(std::span<const double> values) {
  constexpr size_t block = 128;
  if (values.size() < 8) {
    double sum = 0;
    for (const double value : values) sum += value;
    return sum;
  }
  if (values.size() <= block) return block_sum(values);
  size_t half = values.size() / 2;
  half -= half % 8;
  return pairwise_sum(values.first(half)) + pairwise_sum(values.subspan(half));
}

/// Which classes an item names: marks with the item's number take the place of clearing a set.
class Marks {
 public:
  explicit Marks(size_t classes) : last_(classes, no_number) {}
  /// True when the class is new to the item.
  bool add(size_t of_class, uint32_t item) {
    if (last_[of_class] == item) return false;
    last_[of_class] = item;
    return true;
  }
  bool has(size_t of_class, uint32_t item) const { return last_[of_class] == item; }

 private:
  std::vector<uint32_t> last_;
};

std::vector<bool> classes_of_truths(const LabelTable& truths, const WordClasses& classes) {
  std::vector<bool> known(classes.names.size());
  for (const uint32_t word : truths.labels)
    if (const int32_t of_class = classes.class_of[word]; of_class >= 0) known[static_cast<size_t>(of_class)] = true;
  return known;
}

}  // namespace

WordClasses classify_words(const Vocabulary& words, const Grouping& grouping) {
  std::map<std::string_view, int32_t> numbers;
  for (const auto& [form, name] : grouping.class_of) numbers[name] = 0;
  WordClasses classes;
  for (auto& [name, number] : numbers) {
    number = static_cast<int32_t>(classes.names.size());
    classes.names.emplace_back(name);
  }
  for (uint32_t word = 0; word < words.size(); ++word) {
    const auto found = grouping.class_of.find(normalise_label(words.text(word)));
    classes.class_of.push_back(found == grouping.class_of.end() ? -1 : numbers[found->second]);
  }
  return classes;
}

std::vector<SetCounts> count_sets(const LabelTable& predictions, const LabelTable& truths, const TableMatch& match,
                                  const WordClasses& classes) {
  const std::vector<bool> known = classes_of_truths(truths, classes);
  Marks true_marks(classes.names.size()), predicted_marks(classes.names.size());
  std::vector<SetCounts> counts(truths.size());
  for (uint32_t item = 0; item < truths.size(); ++item) {
    SetCounts& count = counts[item];
    for (const uint32_t word : truths.labels_of(item))
      if (const int32_t found = classes.class_of[word]; found >= 0)
        count.truth += true_marks.add(static_cast<size_t>(found), item);
    for (const uint32_t word : predictions.labels_of(match.prediction_of[item])) {
      const int32_t found = classes.class_of[word];
      if (found < 0 || !predicted_marks.add(static_cast<size_t>(found), item)) continue;
      ++count.predicted;
      count.shared += true_marks.has(static_cast<size_t>(found), item);
      count.rivals += known[static_cast<size_t>(found)];
    }
  }
  return counts;
}

double mean_like_numpy(std::span<const double> values) {
  return values.empty() ? none : pairwise_sum(values) / static_cast<double>(values.size());
}

double precision_of(const SetCounts& counts) { return ratio(counts.shared, counts.predicted); }
double recall_of(const SetCounts& counts) { return ratio(counts.shared, counts.truth); }
double mscore_of(const SetCounts& counts) { return ratio(counts.shared, counts.rivals); }

double f_of_means(double precision, double recall, EmptyRule rule) {
  const double both = precision + recall;
  if (rule == EmptyRule::zero && both == 0) return 0;
  return 2 * (precision * recall) / both;
}

SetMeans mean_sets(std::span<const SetCounts> counts, EmptyRule rule) {
  std::vector<double> precisions, recalls;
  for (const SetCounts& count : counts) {
    if (count.truth == 0) continue;
    precisions.push_back(precision_of(count));
    recalls.push_back(recall_of(count));
  }
  SetMeans means{static_cast<int64_t>(precisions.size()), 0, 0, 0};
  if (!precisions.empty() || rule == EmptyRule::nan) {
    means.precision = mean_like_numpy(precisions);
    means.recall = mean_like_numpy(recalls);
  }
  means.f = f_of_means(means.precision, means.recall, rule);
  return means;
}

HitMeans mean_hits(std::span<const SetCounts> counts) {
  std::vector<double> hits, scores;
  for (const SetCounts& count : counts) {
    if (count.truth == 0) continue;
    hits.push_back(count.shared);
    scores.push_back(mscore_of(count));
  }
  return {static_cast<int64_t>(hits.size()), mean_like_numpy(hits), mean_like_numpy(scores)};
}

}  // namespace microemo::eval
