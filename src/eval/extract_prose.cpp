#include <algorithm>
#include <array>
#include <cctype>
#include <string>

#include "extract_forms.h"

namespace microemo::eval {
namespace {

// A description concludes at its end: in the even half of EMER's descriptions four sentences gave the best F
// (docs/extraction.md).
constexpr size_t conclusion_sentences = 4;
constexpr size_t negation_reach = 6, ideographs_a_word = 2, degree_reach = 2, feel_reach = 3;
constexpr size_t longest_term_in_quotes = 3;

bool is_one_of(const std::string& key, std::initializer_list<std::string_view> keys) {
  return std::ranges::find(keys, std::string_view(key)) != keys.end();
}

bool ends_sentence(std::string_view answer, const std::vector<Unit>& units, size_t at) {
  const Unit& unit = units[at];
  if (unit.kind == TokenKind::line || is_one_of(unit.key, {"!", "?", "。", "！", "？", "；"})) return true;
  if (unit.key != ".") return false;
  if (at > 0 && is_one_of(units[at - 1].key, {"mr", "mrs", "ms", "dr"})) return false;
  const unsigned char next = unit.end < answer.size() ? static_cast<unsigned char>(answer[unit.end]) : ' ';
  return std::islower(next) == 0 && std::isdigit(next) == 0;
}

/// For every unit that opens a quote, the unit that closes it; units.size() where there is none.
std::vector<size_t> closing_quotes(const std::vector<Unit>& units) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 3> quotes{{{"\"", "\""}, {"“", "”"}, {"「", "」"}}};
  std::vector<size_t> closes(units.size(), units.size());
  std::array<size_t, quotes.size()> next;
  next.fill(units.size());
  for (size_t i = units.size(); i-- > 0;)
    for (size_t kind = 0; kind < quotes.size(); ++kind) {
      if (units[i].key == quotes[kind].first) closes[i] = next[kind];
      if (units[i].key == quotes[kind].second) next[kind] = i;
    }
  return closes;
}

size_t words_in(const std::vector<Unit>& units, size_t first, size_t last) {
  size_t words = 0;
  for (size_t i = first; i < last; ++i)
    if (units[i].is_text()) words += units[i].tokens;
  return words;
}

/// What somebody says is not what somebody feels: true for units within quotes that hold more than a term. An answer that stands
/// in quotes as a whole is read.
std::vector<bool> spoken_units(const std::vector<Unit>& units) {
  std::vector<bool> spoken(units.size(), false);
  const std::vector<size_t> closes = closing_quotes(units);
  bool left = false;
  for (size_t i = 0; i < units.size(); ++i) {
    const size_t close = closes[i];
    if (close == units.size()) {
      left |= units[i].is_text();
      continue;
    }
    if (words_in(units, i, close) > longest_term_in_quotes) std::fill(spoken.begin() + i, spoken.begin() + close + 1, true);
    i = close;
  }
  if (!left) spoken.assign(units.size(), false);
  return spoken;
}

/// What stands in front of the next emotion of a clause.
struct Context {
  size_t negation = 0, degree = 0, feel = 0;  ///< tokens that each still reaches
  bool hedged = false;
  Intensity intensity = Intensity::plain;

  void end_clause() { *this = {}; }

  void pass(size_t tokens) {
    for (size_t* reach : {&negation, &degree, &feel}) *reach -= std::min(*reach, tokens);
    if (degree == 0) intensity = Intensity::plain;
  }

  void read(const Unit& unit, const Unit* next) {
    const size_t scale = unit.kind == TokenKind::character ? ideographs_a_word : 1;
    if (is_one_of(unit.key, {";", ":", "；", "："})) end_clause();
    // "not angry, he …" is a new clause, "not angry, sad or upset" is not.
    if (unit.key == "，" || (unit.key == "," && next != nullptr && next->has(WordRole::subject))) negation = 0;
    pass(unit.is_text() ? unit.tokens : 0);
    if (unit.has(WordRole::turn)) end_clause();
    if (unit.has(WordRole::negation_ends)) negation = 0;
    if (unit.has(WordRole::not_a_negation)) return;
    if (unit.has(WordRole::negation)) negation = negation_reach * scale;
    if (unit.has(WordRole::hedge)) hedged = true;
    if (unit.has(WordRole::feel)) feel = feel_reach * scale;
    if (unit.has(WordRole::weak) || unit.has(WordRole::strong)) {
      intensity = unit.has(WordRole::weak) ? Intensity::weak : Intensity::strong;
      degree = degree_reach * scale;
    }
  }
};

/// The unit from which a sentence concludes: behind "we can infer that" when it begins with what the inference is based on.
size_t inference_in(const std::vector<Unit>& units, UnitRange sentence) {
  size_t at = sentence.first;
  while (at < sentence.last && !units[at].is_text()) ++at;
  if (at == sentence.last || !units[at].has(WordRole::evidence)) return sentence.first;
  for (; at < sentence.last; ++at)
    if (units[at].has(WordRole::inference)) return at;
  return sentence.first;
}

void read_sentence(const std::vector<Unit>& units, const std::vector<bool>& spoken, UnitRange sentence, bool concludes,
                   std::vector<LabelMention>& mentions) {
  const size_t inference = inference_in(units, sentence);
  Context context;
  for (size_t i = sentence.first; i < sentence.last; ++i) {
    if (spoken[i]) {
      context.end_clause();
      continue;
    }
    const Unit& unit = units[i];
    const bool is_emotion = unit.phrase != nullptr && unit.phrase->emotion.has_value();
    if (is_emotion && (!unit.phrase->emotion->in_lists || context.feel > 0)) {
      const EmotionWord& word = *unit.phrase->emotion;
      mentions.push_back({word.label, unit.start, unit.end,
                          concludes && i >= inference ? AnswerForm::prose : AnswerForm::evidence, context.negation > 0,
                          context.hedged, context.intensity, word.valence, true});
      context.pass(unit.tokens);
    } else {
      context.read(unit, i + 1 < sentence.last ? &units[i + 1] : nullptr);
    }
  }
}

}  // namespace

std::vector<UnitRange> sentences_of(std::string_view answer, const std::vector<Unit>& units) {
  std::vector<UnitRange> sentences;
  for (size_t first = 0; first < units.size();) {
    size_t last = first;
    while (last < units.size() && !ends_sentence(answer, units, last)) ++last;
    last = std::min(last + 1, units.size());
    if (words_in(units, first, last) > 0) sentences.push_back({first, last});
    first = last;
  }
  return sentences;
}

std::vector<LabelMention> read_prose(std::string_view answer, const std::vector<Unit>& units) {
  const std::vector<bool> spoken = spoken_units(units);
  std::vector<UnitRange> sentences = sentences_of(answer, units);
  std::erase_if(sentences, [&](UnitRange sentence) {
    return std::all_of(spoken.begin() + sentence.first, spoken.begin() + sentence.last, [](bool is) { return is; });
  });
  std::vector<LabelMention> mentions;
  for (size_t i = 0; i < sentences.size(); ++i)
    read_sentence(units, spoken, sentences[i], i + conclusion_sentences >= sentences.size(), mentions);
  return mentions;
}

}  // namespace microemo::eval
