#include "extract_tokens.h"

#include <algorithm>
#include <cstdint>

#include "text.h"

namespace microemo::eval {
namespace {

struct Character {
  char32_t code = 0;
  size_t bytes = 1;
};

/// A byte that is no UTF-8 stands for itself.
Character character_at(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(at);
  const size_t bytes = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if (lead < 0xc0 || at + bytes > text.size()) return {lead, 1};
  char32_t code = lead & (0xff >> (bytes + 1));
  for (size_t i = at + 1; i < at + bytes; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {lead, 1};
    code = code << 6 | (byte(i) & 0x3f);
  }
  return {code, bytes};
}

bool within(char32_t code, char32_t first, char32_t last) { return code >= first && code <= last; }

bool is_blank(char32_t code) {
  return code == ' ' || within(code, '\t', '\r') || code == 0x85 || code == 0xa0 || within(code, 0x2000, 0x200b) ||
         within(code, 0x2028, 0x2029) || code == 0x3000 || code == 0xfeff;
}

bool is_ideograph(char32_t code) {
  return within(code, 0x3041, 0x30ff) || within(code, 0x3400, 0x9fff) || within(code, 0xf900, 0xfaff) ||
         within(code, 0x20000, 0x3ffff);
}

bool is_letter(char32_t code) {
  if (code < 0x80) return within(code, 'a', 'z') || within(code, 'A', 'Z') || within(code, '0', '9');
  const bool punctuation = within(code, 0x80, 0xbf) || within(code, 0x2000, 0x2bff) || within(code, 0x3000, 0x3040) ||
                           within(code, 0xfe30, 0xff0f) || within(code, 0xff1a, 0xff20) || within(code, 0xff3b, 0xff40) ||
                           within(code, 0xff5b, 0xff65) || within(code, 0x1f000, 0x1ffff);
  return !punctuation && !is_ideograph(code);
}

bool joins_letters(char32_t code) { return code == '\'' || code == 0x2019 || code == '-' || code == 0x2010; }

size_t end_of_word(std::string_view text, size_t at) {
  while (at < text.size()) {
    const Character here = character_at(text, at);
    if (is_letter(here.code)) {
      at += here.bytes;
      continue;
    }
    const size_t behind = at + here.bytes;
    if (!joins_letters(here.code) || behind >= text.size() || !is_letter(character_at(text, behind).code)) break;
    at = behind;
  }
  return at;
}

/// "don’t" is "don't".
std::string word_key(std::string_view word) {
  constexpr std::string_view curved = "\u2019";
  std::string key;
  for (size_t at = 0, apostrophe; at < word.size(); at = apostrophe + curved.size()) {
    apostrophe = std::min(word.find(curved, at), word.size());
    key += lower(word.substr(at, apostrophe - at));
    if (apostrophe == word.size()) break;
    key += '\'';
  }
  return key;
}

}  // namespace

std::vector<Unit> tokens_of(std::string_view text) {
  std::vector<Unit> tokens;
  for (size_t at = 0; at < text.size();) {
    const Character here = character_at(text, at);
    size_t end = at + here.bytes;
    if (here.code == '\n') {
      tokens.push_back({"\n", at, end, TokenKind::line});
    } else if (is_ideograph(here.code)) {
      tokens.push_back({std::string(text.substr(at, here.bytes)), at, end, TokenKind::character});
    } else if (is_letter(here.code)) {
      end = end_of_word(text, at);
      tokens.push_back({word_key(text.substr(at, end - at)), at, end, TokenKind::word});
    } else if (!is_blank(here.code)) {
      tokens.push_back({std::string(text.substr(at, here.bytes)), at, end, TokenKind::mark});
    }
    at = end;
  }
  return tokens;
}

std::string phrase_key(std::string_view phrase) {
  std::string key;
  for (const Unit& token : tokens_of(phrase)) key += (key.empty() ? "" : " ") + token.key;
  return key;
}

std::vector<Unit> units_of(std::string_view text, const Lexicon& lexicon) {
  const std::vector<Unit> tokens = tokens_of(text);
  std::vector<Unit> units;
  for (size_t at = 0; at < tokens.size();) {
    Unit best = tokens[at];
    std::string key;
    for (size_t i = at; i < tokens.size() && i < at + lexicon.longest && tokens[i].is_text(); ++i) {
      key += (key.empty() ? "" : " ") + tokens[i].key;
      if (const auto found = lexicon.phrases.find(key); found != lexicon.phrases.end())
        best = {key, tokens[at].start, tokens[i].end, tokens[at].kind, i - at + 1, &found->second};
    }
    at += best.tokens;
    units.push_back(std::move(best));
  }
  return units;
}

}  // namespace microemo::eval
