#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "microemo/eval/class_table.h"
#include "microemo/eval/label_table.h"

namespace microemo::eval {

/// The form of every word of a vocabulary, spelled as normalise_label leaves it; no_number where the wheel has none.
std::vector<uint32_t> find_forms(const Vocabulary& words, const ClassTable& table);

/// Two sets of labels after their words were put into classes and doubles removed, as counts. Y and P are the classes of truth
/// and prediction.
struct SetCounts {
  uint16_t shared = 0;     ///< |Y∩P|
  uint16_t predicted = 0;  ///< |P|
  uint16_t truth = 0;      ///< |Y|; 0: the item is in no score
  uint16_t rivals = 0;     ///< |P∩A|, A the classes of all truths of the file
};

/// Of every truth, in their order; `forms` are those of find_forms. O(labels).
std::vector<SetCounts> count_sets(const LabelTable& predictions, const LabelTable& truths, const TableMatch& match,
                                  std::span<const uint32_t> forms, const ClassTable::Column& classes);

/// The mean of float64 numbers with the sums in NumPy's order (pairwise, in blocks of 128 with eight partial sums), so that it is
/// bit for bit numpy.mean. NaN without numbers.
double mean_like_numpy(std::span<const double> values);

/// What the public code of the benchmarks does where there is nothing to divide by (MERTools, my_affectgpt/evaluation/wheel.py of
/// 2025 and of 2026).
enum class EmptyRule {
  nan,   ///< 2025: without items all is NaN, and F is NaN where precision and recall are 0
  zero,  ///< 2026: both are 0
};

/// Means over the items whose truth has a class: precision |Y∩P|/|P| (0 without a predicted class), recall |Y∩P|/|Y|, and
/// F = 2PR/(P+R) of the two means.
struct SetMeans {
  int64_t n = 0;
  double precision = 0, recall = 0, f = 0;
};
SetMeans mean_sets(std::span<const SetCounts> counts, EmptyRule rule);
double f_of_means(double precision, double recall, EmptyRule rule);

/// Means over the items whose truth has a class: hits |Y∩P|, and mscore |Y∩P|/|P∩A| (0 where that is empty). NaN without items.
struct HitMeans {
  int64_t n = 0;
  double hit = 0, mscore = 0;
};
HitMeans mean_hits(std::span<const SetCounts> counts);

double precision_of(const SetCounts& counts);
double recall_of(const SetCounts& counts);
double mscore_of(const SetCounts& counts);

}  // namespace microemo::eval
