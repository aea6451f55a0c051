#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "microemo/eval/predictions.h"
#include "microemo/eval/wheel.h"

namespace microemo::eval {

// Scores of open-vocabulary labels. Y and P are the classes (classes_of) of a pair's truth and prediction under one grouping.
// A pair whose truth has no class is in no score and in no `pairs`; a prediction without a class scores 0.

/// Of one pair: precision |Y∩P| / |P|, recall |Y∩P| / |Y|, F = 2|Y∩P| / (|Y|+|P|).
struct PairScore {
  std::set<std::string> truth, predicted;
  double precision = 0, recall = 0, f = 0;
};
/// Nothing when the truth has no class.
std::optional<PairScore> score_pair(const LabelPair& pair, const Grouping& grouping);

/// Of a set of pairs.
///  precision, recall  means over the pairs
///  f                  2PR/(P+R) of these two means: the set-level F of OV-MER, MER2025/26 and MER-UniBench ("EW"). The public
///  code gives NaN (2025) or 0 (2026)
///                     where P+R = 0 and where no pair is left; here the first is 0 and the second is NaN.
///  pair_f             mean of the pairs' own F: "mean wheel F over (clip, utterance) pairs"
struct SetScore {
  int64_t pairs = 0;
  double precision = 0, recall = 0, f = 0, pair_f = 0;
};
SetScore score_sets(const std::vector<LabelPair>& pairs, const Grouping& grouping);

/// The same of the scores at these positions, which may repeat; those without a score do not count.
SetScore average(const std::vector<std::optional<PairScore>>& scores, const std::vector<size_t>& positions);

/// Hit rate of one true label among the predicted ones (MER-UniBench, basic emotions): the mean of |Y∩P|, where Y has one class.
/// `mscore` divides each hit by the number of predicted classes that are the class of any truth in the data set, so that naming
/// everything does not pay. NaN without pairs.
struct HitScore {
  int64_t pairs = 0;
  double hit = 0, mscore = 0;
};
HitScore score_hits(const std::vector<LabelPair>& pairs, const Grouping& grouping);

/// Valence against the words positive, negative, neutral: items of truth 0 are left out; "positive" means > 0, every other word
/// (also "mixed") means not. `weighted_f` is the mean of the two classes' F1, weighted by their support. NaN without items.
/// Throws Error(internal) when the lists differ in length.
struct SentimentScore {
  int64_t items = 0;
  double accuracy = 0, weighted_f = 0;
};
SentimentScore score_sentiment(const std::vector<double>& truth, const std::vector<std::string>& predicted);

/// EMER and MER2024: groups that a language model made once for every sample, kept as text ("[[happy, joyful], [sad]]"); each
/// member stands for the first of its group, a label in no group for itself. Quirks of the public code are kept (MERTools,
/// MER2024/main-ov.py).
std::unordered_map<std::string, std::string> parse_cached_groups(std::string_view text);

/// Accuracy_s, Recall_s and their arithmetic mean over all pairs, with the groups of every pair by id. Throws Error(data) when a
/// pair has no groups, or a truth is empty while its prediction is not (the public code divides by zero there).
struct CachedScore {
  int64_t pairs = 0;
  double accuracy = 0, recall = 0, average = 0;
};
CachedScore score_cached_groups(const std::vector<LabelPair>& pairs, const std::map<std::string, std::string>& groups);

}  // namespace microemo::eval
