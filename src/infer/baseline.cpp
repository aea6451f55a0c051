#include <algorithm>
#include <set>

#include "microemo/base/error.h"
#include "microemo/eval/headline.h"
#include "microemo/eval/labels.h"
#include "microemo/eval/scores.h"
#include "microemo/infer/evaluate.h"

namespace microemo::infer {
namespace {

std::vector<eval::LabelPair> truths_of(const std::vector<data::Clip>& clips) {
  std::vector<eval::LabelPair> pairs;
  for (const data::Clip& clip : clips)
    for (const data::Utterance& utterance : clip.utterances)
      if (!utterance.labels.empty()) pairs.push_back({"", clip.id, utterance.labels, {}});
  return pairs;
}

/// One label for each class of the first headline grouping: others of a class would score the same there.
std::vector<std::string> candidates_of(const std::vector<eval::LabelPair>& pairs, const eval::EmotionWheel& wheel) {
  const eval::Grouping& grouping = wheel.grouping(wheel.headline.front());
  std::map<std::string, std::string> first_of_class;
  for (const eval::LabelPair& pair : pairs)
    for (const std::string& written : pair.truth) {
      const std::string label = eval::normalise_label(written);
      const auto found = grouping.class_of.find(label);
      if (found == grouping.class_of.end()) continue;
      const auto [place, added] = first_of_class.try_emplace(found->second, label);
      if (!added) place->second = std::min(place->second, label);
    }
  std::vector<std::string> labels;
  for (const auto& [name, label] : first_of_class) labels.push_back(label);
  std::sort(labels.begin(), labels.end());
  return labels;
}

double mean_f(std::vector<eval::LabelPair>& pairs, const std::vector<std::string>& labels, const eval::EmotionWheel& wheel) {
  double sum = 0;
  for (eval::LabelPair& pair : pairs) {
    pair.predicted = labels;
    sum += eval::headline_f(pair, wheel).value_or(0);
  }
  return sum / double(pairs.size());
}

}  // namespace

std::vector<std::string> best_fixed_labels(const std::vector<data::Clip>& clips, const eval::EmotionWheel& wheel) {
  std::vector<eval::LabelPair> pairs = truths_of(clips);
  std::vector<std::string> left = candidates_of(pairs, wheel), chosen;
  if (left.empty())
    throw DataError("no utterance has a label that the wheel '{}' knows", wheel.name)
        .hint("name a wheel of the labels' language with --wheel");
  for (double best = 0;;) {
    size_t best_at = left.size();
    for (size_t i = 0; i < left.size(); ++i) {
      std::vector<std::string> tried = chosen;
      tried.push_back(left[i]);
      const double f = mean_f(pairs, tried, wheel);
      if (f > best + 1e-12) best = f, best_at = i;
    }
    if (best_at == left.size()) return chosen;
    chosen.push_back(left[best_at]);
    left.erase(left.begin() + ptrdiff_t(best_at));
  }
}

std::vector<eval::LabelPair> with_fixed_labels(std::vector<eval::LabelPair> pairs, const std::vector<std::string>& labels) {
  for (eval::LabelPair& pair : pairs) pair.predicted = labels;
  return pairs;
}

}  // namespace microemo::infer
