#pragma once
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "bpe.h"
#include "token_map.h"

namespace microemo::text {

/// Whose reading of Unicode decides: the tokenizers library's (tokenizer.json) or that of transformers' Python classes
/// (vocab.txt).
enum class BertLibrary { tokenizers, transformers };

/// What is done to a text before BERT cuts it into words (Devlin et al. 2019; the public code's "basic tokenizer").
struct BertCleaning {
  bool clean_text = true;     ///< control characters go, every blank becomes a space
  bool space_chinese = true;  ///< every Chinese character is a word of its own
  bool strip_accents = true;
  bool lower = true;
};

std::string bert_cleaned(std::string_view text, const BertCleaning& cleaning, BertLibrary library);
/// Words between blanks; each punctuation character is one. Views of the text.
std::vector<std::string_view> bert_words(std::string_view text, BertLibrary library);

/// WordPiece: the longest piece that the word begins with, then the longest that goes on, and so on; a word that cannot be made
/// so, or has more than `longest_word` characters, is unknown. Immutable once filled but for a cache; thread-safe.
class WordPiece {
 public:
  std::string continuation = "##";
  size_t longest_word = 100;
  uint32_t unknown = 0;

  void add(const std::string& piece, uint32_t id);
  void encode(std::string_view word, std::vector<int64_t>& out) const;

 private:
  void append_pieces(std::string_view word, std::vector<int64_t>& out) const;

  TokenMap first_, next_;  ///< pieces that begin a word, and those that go on, without the sign of it
  size_t longest_piece_ = 0;
  mutable std::mutex mutex_;
  mutable WordCache cache_;
};

}  // namespace microemo::text
