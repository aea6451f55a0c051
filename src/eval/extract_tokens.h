#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "microemo/eval/extract_lexicon.h"

namespace microemo::eval {

enum class TokenKind {
  word,       ///< letters and digits of scripts with blanks, with the apostrophes and hyphens between them
  character,  ///< one Chinese or Japanese character
  mark,       ///< any other character that is no blank
  line,       ///< the end of a line
};

/// One token, or the tokens of a phrase that the lexicon knows.
struct Unit {
  std::string key;            ///< lower case; of several tokens, with blanks between
  size_t start = 0, end = 0;  ///< bytes of the text
  TokenKind kind = TokenKind::mark;
  size_t tokens = 1;
  const Phrase* phrase = nullptr;  ///< of the lexicon, or none

  bool has(WordRole role) const { return phrase != nullptr && phrase->has(role); }
  bool is_text() const { return kind == TokenKind::word || kind == TokenKind::character; }
};

std::vector<Unit> tokens_of(std::string_view text);

/// The text in the longest phrases that the lexicon knows, from the left; what it does not know stays a token.
std::vector<Unit> units_of(std::string_view text, const Lexicon& lexicon);

}  // namespace microemo::eval
