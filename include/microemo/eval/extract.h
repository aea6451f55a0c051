#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "microemo/eval/extract_lexicon.h"

namespace microemo::eval {

/// Name and version of the rules of docs/extraction.md, part of the name of every result: another rule, another number.
inline constexpr std::string_view rules_extractor = "rules-1";

/// The word lists that belong to rules_extractor: Lexicon::hash of data/lexicon.
inline constexpr std::string_view rules_lexicon_hash = "4f13be88e625cea886917cee09e95ddef3947a579bb51356f4d9309e2791433a";

/// "rules-1"; with other word lists "rules-1:" and the first twelve digits of their hash.
std::string rules_extractor_name(const Lexicon& lexicon);

enum class Intensity { weak, plain, strong };

/// In what form the answer names a label.
enum class AnswerForm {
  list,      ///< in a list: brackets, numbers, "labels: …", behind "feels", or nothing but a list
  prose,     ///< in a sentence that says what is concluded
  evidence,  ///< in a sentence that tells what was seen or heard, or before "we can infer that": not a label of the answer
};

/// One place of an answer that names an emotion.
struct LabelMention {
  std::string label;          ///< the family's adjective, lower case; in a list, words the lexicon does not know as they stand
  size_t start = 0, end = 0;  ///< bytes of the answer, end excluded
  AnswerForm form = AnswerForm::prose;
  bool negated = false;  ///< "not angry"
  bool hedged = false;   ///< "may be angry"
  Intensity intensity = Intensity::plain;
  double valence = 0;  ///< of the label, -1 to 1; 0 when the lexicon does not know it
  bool known = true;   ///< in the lexicon
};

/// Every mention in order of the text. Deterministic: the same answer and lexicon give the same mentions. `answer` is UTF-8;
/// bytes that are not stand for themselves. Thread-safe.
std::vector<LabelMention> find_mentions(std::string_view answer, const Lexicon& lexicon);

/// The labels that an answer affirms, each once, in order: mentions that are neither negated nor evidence. A hedged one counts.
std::vector<std::string> labels_of(const std::vector<LabelMention>& mentions);

/// "positive", "negative" or "neutral", and a graded value.
struct Sentiment {
  std::string label = "neutral";
  double value = 0;  ///< -1 to 1
};

/// Mean valence of the known mentions that are not evidence, weighted: strong 1.5, weak 0.5, hedged × 0.75. A negated mention
/// counts with half of its valence, turned round. Above 0.1 positive, below -0.1 negative; without mentions neutral, 0.
Sentiment sentiment_of(const std::vector<LabelMention>& mentions);

}  // namespace microemo::eval
