#include "microemo/eval/set_counts.h"

#include <algorithm>
#include <limits>

#include "microemo/base/error.h"
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

/// The class of every word, -1 without one.
std::vector<int32_t> classes_of_words(std::span<const uint32_t> forms, const ClassTable::Column& classes) {
  std::vector<int32_t> of_words;
  of_words.reserve(forms.size());
  for (const uint32_t form : forms) of_words.push_back(form == no_number ? -1 : classes.class_of[form]);
  return of_words;
}

std::vector<bool> classes_of_truths(const LabelTable& truths, std::span<const int32_t> class_of, size_t classes) {
  std::vector<bool> known(classes);
  for (const uint32_t word : truths.labels)
    if (class_of[word] >= 0) known[static_cast<size_t>(class_of[word])] = true;
  return known;
}

}  // namespace

const ClassTable::Column& ClassTable::column(std::string_view grouping) const {
  std::string names;
  for (const Column& candidate : columns) {
    if (candidate.grouping == grouping) return candidate;
    names += (names.empty() ? "" : ", ") + candidate.grouping;
  }
  throw ConfigError("the wheel has no grouping '{}'", grouping).hint("its groupings are " + names);
}

std::vector<uint32_t> find_forms(const Vocabulary& words, const ClassTable& table) {
  std::vector<uint32_t> forms;
  forms.reserve(words.size());
  for (uint32_t word = 0; word < words.size(); ++word) {
    const auto found = table.form_numbers.find(normalise_label(words.text(word)));
    forms.push_back(found == table.form_numbers.end() ? no_number : found->second);
  }
  return forms;
}

std::vector<SetCounts> count_sets(const LabelTable& predictions, const LabelTable& truths, const TableMatch& match,
                                  std::span<const uint32_t> forms, const ClassTable::Column& classes) {
  const std::vector<int32_t> class_of = classes_of_words(forms, classes);
  const std::vector<bool> known = classes_of_truths(truths, class_of, classes.names.size());
  Marks true_marks(classes.names.size()), predicted_marks(classes.names.size());
  std::vector<SetCounts> counts(truths.size());
  for (uint32_t item = 0; item < truths.size(); ++item) {
    SetCounts& count = counts[item];
    for (const uint32_t word : truths.labels_of(item))
      if (class_of[word] >= 0) count.truth += true_marks.add(static_cast<size_t>(class_of[word]), item);
    for (const uint32_t word : predictions.labels_of(match.prediction_of[item])) {
      if (class_of[word] < 0) continue;
      const auto found = static_cast<size_t>(class_of[word]);
      if (!predicted_marks.add(found, item)) continue;
      ++count.predicted;
      count.shared += true_marks.has(found, item);
      count.rivals += known[found];
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
