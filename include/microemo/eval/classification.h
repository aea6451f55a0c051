#pragma once
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "microemo/eval/label_table.h"

namespace microemo::eval {

/// Single-label truths and predictions as numbers of classes.
struct ClassPairs {
  std::vector<std::string> classes;        ///< those of the truths, in the order of spelling
  std::vector<int32_t> truth, predicted;   ///< of every item; predicted -1: none, or none of the classes; both -1: not scored
  int64_t without_label = 0;               ///< predictions without a label, which are wrong
  int64_t several_labels = 0;              ///< predictions with several labels, of which the first counts
  std::map<std::string, int64_t> unknown;  ///< predicted labels that are no class of the truths
};

/// Of labels as normalise_label spells them. Throws Error(data) that lists the ids when a truth has not exactly one label.
ClassPairs pair_classes(const LabelTable& predictions, const LabelTable& truths, const TableMatch& match,
                        const Vocabulary& words);

/// Valence against the words "positive", "negative" and "neutral" (AffectGPT, evaluation.py): truths of 0 are not scored, truths
/// above are positive; a prediction is positive when it is exactly that word, anything else ("Positive", "mixed", two words) is
/// not. A truth may also be one of the three words. Classes are "not positive" and "positive". Throws Error(data) with file and
/// line for a truth that is neither a number nor one of the words.
ClassPairs pair_sentiment(const LabelTable& predictions, const LabelTable& truths, const TableMatch& match,
                          const Vocabulary& words);

/// Of one class.
struct ClassScore {
  int64_t support = 0, predicted = 0, right = 0;
  double precision = 0, recall = 0, f = 0;  ///< 0 where there is nothing to divide by; f = 2 right / (support + predicted)
};
std::vector<ClassScore> score_classes(const ClassPairs& pairs);

/// war: right items over items. uar: mean of the recalls of the classes that occur. waf: mean of f weighted by support, as
/// sklearn.metrics.f1_score(average='weighted'). NaN without items.
struct ClassMeans {
  int64_t n = 0;
  double war = 0, uar = 0, waf = 0;
};
ClassMeans mean_classes(std::span<const ClassScore> scores);

/// Items of every true class (rows) by predicted class; the last column counts predictions that are none of the classes.
std::vector<std::vector<int64_t>> confusion_of(const ClassPairs& pairs);

}  // namespace microemo::eval
