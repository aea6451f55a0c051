#include "microemo/eval/extract.h"

#include <unordered_set>

#include "extract_forms.h"

namespace microemo::eval {

std::string rules_extractor_name(const Lexicon& lexicon) {
  constexpr size_t digits = 12;
  const std::string name(rules_extractor);
  return lexicon.hash == rules_lexicon_hash ? name : name + ":" + lexicon.hash.substr(0, digits);
}

std::vector<LabelMention> find_mentions(std::string_view answer, const Lexicon& lexicon) {
  const std::vector<Unit> units = units_of(answer, lexicon);
  if (auto listed = read_list(answer, units)) return *listed;
  return read_prose(answer, units);
}

std::vector<std::string> labels_of(const std::vector<LabelMention>& mentions) {
  std::vector<std::string> labels;
  std::unordered_set<std::string_view> seen;
  for (const LabelMention& mention : mentions)
    if (!mention.negated && mention.form != AnswerForm::evidence && seen.insert(mention.label).second)
      labels.push_back(mention.label);
  return labels;
}

Sentiment sentiment_of(const std::vector<LabelMention>& mentions) {
  constexpr double strong = 1.5, weak = 0.5, hedge = 0.75, denied = -0.5, threshold = 0.1;
  double sum = 0, weights = 0;
  for (const LabelMention& mention : mentions) {
    if (mention.form == AnswerForm::evidence || !mention.known) continue;
    double weight = mention.hedged ? hedge : 1;
    if (mention.intensity != Intensity::plain) weight *= mention.intensity == Intensity::strong ? strong : weak;
    sum += weight * (mention.negated ? denied : 1) * mention.valence;
    weights += weight;
  }
  if (weights == 0) return {};
  const double value = sum / weights;
  return {value > threshold ? "positive" : value < -threshold ? "negative" : "neutral", value};
}

}  // namespace microemo::eval
