#include "unicode.h"

#include <algorithm>
#include <unordered_map>
#include <vector>

#include "unicode_tables.h"

namespace microemo::text {
namespace {

constexpr char32_t last_character = 0x10FFFF;
// Hangul syllables come apart by arithmetic (Unicode 16, section 3.12).
constexpr char32_t syllables = 0xAC00, leads = 0x1100, vowels = 0x1161, tails = 0x11A7;
constexpr char32_t lead_count = 19, vowel_count = 21, tail_count = 28, syllable_count = lead_count * vowel_count * tail_count;

/// Canonical parts, pairs and combining classes, by character.
struct NormalForms {
  std::unordered_map<char32_t, Decomposition> parts;
  std::unordered_map<uint64_t, char32_t> wholes;
  std::unordered_map<char32_t, uint8_t> orders;

  NormalForms() {
    for (const Decomposition& pair : compositions) {
      parts[pair.whole] = pair;
      wholes[uint64_t(pair.first) << 32 | pair.second] = pair.whole;
    }
    for (const Decomposition& one : decompositions) parts[one.whole] = one;
    for (const CombiningRange& range : combining_ranges)
      for (char32_t c = range.first; c <= range.last; ++c) orders[c] = range.order;
  }
  uint8_t order(char32_t c) const {
    if (c < 0x300) return 0;
    const auto found = orders.find(c);
    return found == orders.end() ? uint8_t(0) : found->second;
  }
};

const NormalForms& normal_forms() {
  static const NormalForms forms;
  return forms;
}

void append_parts(std::vector<char32_t>& out, char32_t c) {
  if (c < 0xC0) return out.push_back(c);
  if (c >= syllables && c < syllables + syllable_count) {
    const char32_t index = c - syllables;
    out.push_back(leads + index / (vowel_count * tail_count));
    out.push_back(vowels + index % (vowel_count * tail_count) / tail_count);
    if (index % tail_count != 0) out.push_back(tails + index % tail_count);
    return;
  }
  const auto found = normal_forms().parts.find(c);
  if (found == normal_forms().parts.end()) return out.push_back(c);
  append_parts(out, found->second.first);
  if (found->second.second != 0) append_parts(out, found->second.second);
}

std::vector<char32_t> decomposed(std::string_view text) {
  const NormalForms& forms = normal_forms();
  std::vector<char32_t> characters;
  for (size_t i = 0; i < text.size();) append_parts(characters, next_character(text, i));
  const auto marks_first = [&](char32_t a, char32_t b) { return forms.order(a) < forms.order(b); };
  for (size_t begin = 0; begin < characters.size();) {
    size_t end = begin;
    while (end < characters.size() && forms.order(characters[end]) != 0) ++end;
    if (end - begin > 1) std::stable_sort(characters.begin() + long(begin), characters.begin() + long(end), marks_first);
    begin = end + 1;
  }
  return characters;
}

/// The character that two make together; 0 when none.
char32_t composed(char32_t first, char32_t second) {
  if (first >= leads && first < leads + lead_count && second >= vowels && second < vowels + vowel_count)
    return syllables + ((first - leads) * vowel_count + (second - vowels)) * tail_count;
  if (first >= syllables && first < syllables + syllable_count && (first - syllables) % tail_count == 0 && second > tails &&
      second < tails + tail_count)
    return first + (second - tails);
  const auto found = normal_forms().wholes.find(uint64_t(first) << 32 | second);
  return found == normal_forms().wholes.end() ? 0 : found->second;
}

std::string as_utf8(const std::vector<char32_t>& characters) {
  std::string text;
  for (const char32_t c : characters) append_character(text, c);
  return text;
}

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return uint8_t(c) < 0x80; });
}

std::vector<uint16_t> expanded_classes() {
  std::vector<uint16_t> table(last_character + 1);
  for (size_t i = 0; i < class_ranges.size(); ++i) {
    const size_t end = i + 1 < class_ranges.size() ? class_ranges[i + 1].first : table.size();
    std::fill(table.begin() + long(class_ranges[i].first), table.begin() + long(end), class_ranges[i].classes);
  }
  return table;
}

char32_t lower(char32_t c) {
  auto range = std::upper_bound(lower_ranges.begin(), lower_ranges.end(), c,
                                [](char32_t character, const LowerRange& one) { return character < one.first; });
  // Ranges with a step interleave: the one that holds the character may stand a little before.
  for (int back = 0; back < 4 && range != lower_ranges.begin(); ++back) {
    --range;
    if (c <= range->last && (c - range->first) % range->step == 0) return char32_t(int32_t(c) + range->distance);
  }
  return c;
}

}  // namespace

const uint16_t* class_table() {
  static const std::vector<uint16_t> table = expanded_classes();
  return table.data();
}

char32_t previous_character(std::string_view text, size_t& i) {
  do --i;
  while (i > 0 && (uint8_t(text[i]) & 0xC0) == 0x80);
  size_t at = i;
  return next_character(text, at);
}

void append_character(std::string& text, char32_t c) {
  if (c < 0x80) {
    text += char(c);
  } else if (c < 0x800) {
    text += {char(0xC0 | c >> 6), char(0x80 | (c & 0x3F))};
  } else if (c < 0x10000) {
    text += {char(0xE0 | c >> 12), char(0x80 | (c >> 6 & 0x3F)), char(0x80 | (c & 0x3F))};
  } else {
    text += {char(0xF0 | c >> 18), char(0x80 | (c >> 12 & 0x3F)), char(0x80 | (c >> 6 & 0x3F)), char(0x80 | (c & 0x3F))};
  }
}

std::string lower_case(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const char32_t c = next_character(text, i);
    if (c < 0x80)
      result += c >= 'A' && c <= 'Z' ? char(c + 32) : char(c);
    else if (c == 0x130)  // the one character whose lower case is two: i and a dot above
      result += "i\xCC\x87";
    else
      append_character(result, lower(c));
  }
  return result;
}

std::string to_nfd(std::string_view text) { return is_ascii(text) ? std::string(text) : as_utf8(decomposed(text)); }

std::string to_nfc(std::string_view text) {
  if (is_ascii(text)) return std::string(text);
  const NormalForms& forms = normal_forms();
  std::vector<char32_t> characters = decomposed(text);
  size_t kept = 0, starter = SIZE_MAX;
  int last_order = -1;
  for (const char32_t c : characters) {
    const uint8_t order = forms.order(c);
    // Blocked by a mark of the same or a higher class in between, or by another starter.
    const bool free = starter != SIZE_MAX && (last_order < order || last_order == -1);
    if (const char32_t whole = free ? composed(characters[starter], c) : 0; whole != 0) {
      characters[starter] = whole;
      continue;
    }
    if (order == 0) {
      starter = kept;
      last_order = -1;
    } else {
      last_order = order;
    }
    characters[kept++] = c;
  }
  characters.resize(kept);
  return as_utf8(characters);
}

}  // namespace microemo::text
