#include <algorithm>
#include <string>

#include "extract_forms.h"
#include "text.h"

namespace microemo::eval {
namespace {

constexpr size_t longest_entry = 3, longest_entry_in_ideographs = 6, most_sentences_around_lead = 3;

bool is(const Unit& unit, std::initializer_list<std::string_view> keys) {
  return std::ranges::find(keys, std::string_view(unit.key)) != keys.end();
}

bool is_emotion(const Unit& unit) { return unit.phrase != nullptr && unit.phrase->emotion.has_value(); }

bool is_number(const Unit& unit) {
  return unit.kind == TokenKind::word && std::ranges::all_of(unit.key, [](char c) { return c >= '0' && c <= '9'; });
}

/// What words in front of a list say of all its entries: "does not feel …", "may feel …".
struct Marks {
  bool negated = false, hedged = false;
};

/// Reads the entries of a range of units.
class ListReader {
 public:
  ListReader(std::string_view answer, const std::vector<Unit>& units) : answer_(answer), units_(units) {}

  /// The mentions, or nothing when an entry is too long for a label, or part of a sentence.
  std::optional<std::vector<LabelMention>> read(UnitRange range, Marks marks = {}) {
    mentions_.clear();
    valid_ = true;
    around_emotion_ = false;
    bool negated = marks.negated;
    for (size_t first = range.first; first < range.last && valid_;) {
      size_t last = first;
      while (last < range.last && !separates(units_[last])) ++last;
      negated = read_entry({first, last}, {negated, marks.hedged});
      // "not happy or sad" denies both.
      const bool goes_on = last < range.last && is(units_[last], {"or", "nor", "或", "或者", "、"});
      if (!goes_on) negated = marks.negated;
      first = last + 1;
    }
    if (!valid_) return std::nullopt;
    return mentions_;
  }

  /// Whether an entry that was read last has words beside one that the lexicon knows, as sentences do ("signs of anger").
  bool has_words_around_an_emotion() const { return around_emotion_; }

 private:
  static bool separates(const Unit& unit) {
    if (unit.has(WordRole::separator)) return true;
    return !unit.is_text();
  }

  static bool leads(const Unit& unit) {
    for (const WordRole role :
         {WordRole::filler, WordRole::weak, WordRole::strong, WordRole::hedge, WordRole::negation, WordRole::not_a_negation})
      if (unit.has(role)) return true;
    return false;
  }

  /// Returns whether the entry is negated.
  bool read_entry(UnitRange entry, Marks marks) {
    Intensity intensity = Intensity::plain;
    for (; entry.first < entry.last && (leads(units_[entry.first]) || is_number(units_[entry.first])); ++entry.first) {
      const Unit& unit = units_[entry.first];
      if (is_emotion(unit)) break;
      marks.negated |= unit.has(WordRole::negation) && !unit.has(WordRole::not_a_negation);
      marks.hedged |= unit.has(WordRole::hedge);
      if (unit.has(WordRole::weak)) intensity = Intensity::weak;
      if (unit.has(WordRole::strong)) intensity = Intensity::strong;
    }
    while (entry.last > entry.first && units_[entry.last - 1].has(WordRole::filler) && !is_emotion(units_[entry.last - 1]))
      --entry.last;
    if (entry.first < entry.last) add(entry, marks, intensity);
    return marks.negated;
  }

  void add(UnitRange entry, Marks marks, Intensity intensity) {
    const Unit& first = units_[entry.first];
    const bool alone = entry.last - entry.first == 1;
    if (alone && first.has(WordRole::nothing)) return;
    LabelMention mention{"", first.start, units_[entry.last - 1].end, AnswerForm::list, marks.negated, marks.hedged, intensity};
    if (alone && is_emotion(first)) {
      mention.label = first.phrase->emotion->label;
      mention.valence = first.phrase->emotion->valence;
    } else {
      valid_ &= fits(entry);
      around_emotion_ |= std::any_of(units_.begin() + entry.first, units_.begin() + entry.last, is_emotion);
      mention.label = label_text(entry);
      mention.known = false;
    }
    mentions_.push_back(std::move(mention));
  }

  bool fits(UnitRange entry) const {
    size_t words = 0, ideographs = 0;
    for (size_t i = entry.first; i < entry.last; ++i) {
      if (units_[i].has(WordRole::sentence) || units_[i].has(WordRole::feel)) return false;
      (units_[i].kind == TokenKind::word ? words : ideographs) += units_[i].tokens;
    }
    return words <= longest_entry && ideographs <= longest_entry_in_ideographs;
  }

  /// As it stands, in lower case, with single blanks.
  std::string label_text(UnitRange entry) const {
    std::string text;
    for (size_t i = entry.first; i < entry.last; ++i) {
      if (i > entry.first && units_[i].start > units_[i - 1].end) text += ' ';
      for (const std::string& piece : split(lower(answer_.substr(units_[i].start, units_[i].end - units_[i].start)), " \t\r\n"))
        text += (text.empty() || text.back() == ' ' ? "" : " ") + piece;
    }
    return text;
  }

  std::string_view answer_;
  const std::vector<Unit>& units_;
  std::vector<LabelMention> mentions_;
  bool valid_ = true, around_emotion_ = false;
};

/// Between the first bracket that is closed and the one that closes it.
std::optional<UnitRange> in_brackets(const std::vector<Unit>& units) {
  std::vector<size_t> open;
  std::optional<UnitRange> first;
  for (size_t i = 0; i < units.size(); ++i) {
    if (is(units[i], {"[", "【", "［"})) open.push_back(i);
    if (open.empty() || !is(units[i], {"]", "】", "］"})) continue;
    if (!first || open.back() + 1 < first->first) first = UnitRange{open.back() + 1, i};
    open.pop_back();
  }
  return first;
}

size_t end_of_line(const std::vector<Unit>& units, size_t at) {
  while (at < units.size() && units[at].kind != TokenKind::line) ++at;
  return at;
}

/// Behind "1.", "2)", "-", "•" at the start of a line; the start when there is none.
size_t behind_bullet(const std::vector<Unit>& units, size_t first, size_t last) {
  if (first < last && is(units[first], {"-", "*", "•", "·"})) return first + 1;
  size_t at = first < last && is(units[first], {"(", "（"}) ? first + 1 : first;
  if (at < last && is_number(units[at]) && at + 1 < last && is(units[at + 1], {".", ")", "、", "）", ":", "．"})) return at + 2;
  return first;
}

/// The entries of a list with a bullet or a number on every line: of each line what stands in front of an explanation.
std::vector<UnitRange> bulleted_lines(const std::vector<Unit>& units) {
  std::vector<UnitRange> entries;
  for (size_t first = 0; first < units.size();) {
    const size_t last = end_of_line(units, first), start = behind_bullet(units, first, last);
    if (start != first) {
      size_t end = start;
      while (end < last && !is(units[end], {":", "：", "(", "（", "-", "–", "—", ".", "。"})) ++end;
      entries.push_back({start, end});
    }
    first = last + 1;
  }
  return entries;
}

/// Behind the last "labels:"; to the end of its line, or of the next one when the line ends there.
std::optional<UnitRange> behind_title(const std::vector<Unit>& units) {
  for (size_t i = units.size(); i-- > 1;) {
    size_t colon = i;
    if (!units[i - 1].has(WordRole::title)) continue;
    while (colon < units.size() && is(units[colon], {"*"})) ++colon;
    if (colon == units.size() || !is(units[colon], {":", "："})) continue;
    size_t first = colon + 1;
    while (first < units.size() && (units[first].kind == TokenKind::line || is(units[first], {"*"}))) ++first;
    return UnitRange{first, end_of_line(units, first)};
  }
  return std::nullopt;
}

/// Up to the mark that ends the sentence; a semicolon separates entries here.
UnitRange sentence_of(const std::vector<Unit>& units, UnitRange range) {
  for (size_t i = range.first; i < range.last; ++i)
    if (is(units[i], {".", "!", "?", "。", "！", "？", "\n"})) return {range.first, i};
  return range;
}

std::optional<std::vector<LabelMention>> read_lead(ListReader& reader, const std::vector<Unit>& units,
                                                   const std::vector<UnitRange>& sentences) {
  if (sentences.size() > most_sentences_around_lead) return std::nullopt;
  for (size_t i = units.size(); i-- > 0;) {
    if (!units[i].has(WordRole::lead)) continue;
    const UnitRange rest = sentence_of(units, {i + 1, units.size()});
    if (std::none_of(units.begin() + rest.first, units.begin() + rest.last, [](const Unit& unit) { return unit.is_text(); }))
      continue;
    Marks marks;
    constexpr size_t reach = 3;
    for (size_t before = i - std::min(i, reach); before < i; ++before) {
      if (units[before].has(WordRole::turn) || !units[before].is_text()) marks = {};
      marks.negated |= units[before].has(WordRole::negation) && !units[before].has(WordRole::not_a_negation);
      marks.hedged |= units[before].has(WordRole::hedge);
    }
    return reader.read(rest, marks);
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::vector<LabelMention>> read_list(std::string_view answer, const std::vector<Unit>& units) {
  ListReader reader(answer, units);
  if (const auto range = in_brackets(units))
    if (auto mentions = reader.read(*range)) return mentions;
  if (const auto entries = bulleted_lines(units); entries.size() > 1) {
    std::vector<LabelMention> all;
    bool valid = true;
    for (const UnitRange entry : entries) {
      const auto mentions = reader.read(entry);
      valid &= mentions.has_value();
      if (mentions) all.insert(all.end(), mentions->begin(), mentions->end());
    }
    if (valid) return all;
  }
  if (const auto range = behind_title(units))
    if (auto mentions = reader.read(sentence_of(units, *range))) return mentions;
  const std::vector<UnitRange> sentences = sentences_of(answer, units);
  if (const UnitRange whole = sentence_of(units, {0, units.size()}); whole.last + 1 >= units.size())
    if (auto mentions = reader.read(whole); mentions && !reader.has_words_around_an_emotion()) return mentions;
  return read_lead(reader, units, sentences);
}

}  // namespace microemo::eval
