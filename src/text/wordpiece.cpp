#include "wordpiece.h"

#include <algorithm>

#include "unicode.h"

namespace microemo::text {
namespace {

/// The blocks that the public code calls Chinese; the tokenizers library begins one of them 256 characters late.
bool is_chinese(char32_t c, BertLibrary library) {
  if (library == BertLibrary::tokenizers && c >= 0x2B820 && c < 0x2B920) return false;
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x2A6DF) ||
         (c >= 0x2A700 && c <= 0x2B73F) || (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B820 && c <= 0x2CEAF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

bool is_blank(char32_t c, BertLibrary library) {
  // To Python's clean-up the separators of lines and paragraphs are no blanks; its split takes them for some.
  if (library == BertLibrary::transformers && (c == 0x2028 || c == 0x2029)) return false;
  return (class_table()[c] & space) != 0;
}

std::string without_accents(std::string_view text, uint16_t accent) {
  std::string result;
  const std::string parts = to_nfd(text);
  for (size_t i = 0; i < parts.size();) {
    const char32_t c = next_character(parts, i);
    if (!(class_table()[c] & accent)) append_character(result, c);
  }
  return result;
}

std::string clean(std::string_view text, const BertCleaning& cleaning, BertLibrary library) {
  const uint16_t control = library == BertLibrary::tokenizers ? bert_control : python_control;
  std::string result;
  result.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const char32_t c = next_character(text, i);
    if (cleaning.clean_text && (class_table()[c] & control)) continue;
    const bool chinese = cleaning.space_chinese && is_chinese(c, library);
    if (chinese) result += ' ';
    append_character(result, cleaning.clean_text && is_blank(c, library) ? U' ' : c);
    if (chinese) result += ' ';
  }
  return result;
}

}  // namespace

std::string bert_cleaned(std::string_view text, const BertCleaning& cleaning, BertLibrary library) {
  std::string result = clean(text, cleaning, library);
  // The Python class lowers before it strips; of the letters that both touch, either order gives the same.
  if (library == BertLibrary::transformers) result = to_nfc(result);
  if (library == BertLibrary::transformers && cleaning.lower) result = lower_case(result);
  if (cleaning.strip_accents) result = without_accents(result, library == BertLibrary::tokenizers ? bert_accent : python_accent);
  if (library == BertLibrary::tokenizers && cleaning.lower) result = lower_case(result);
  return result;
}

std::vector<std::string_view> bert_words(std::string_view text, BertLibrary library) {
  const uint16_t punctuation = library == BertLibrary::tokenizers ? bert_punctuation : python_punctuation;
  std::vector<std::string_view> words;
  size_t begin = 0;
  for (size_t i = 0; i < text.size();) {
    const size_t at = i;
    const uint16_t classes = class_table()[next_character(text, i)];
    if (!(classes & (space | punctuation))) continue;
    if (at > begin) words.push_back(text.substr(begin, at - begin));
    if (!(classes & space)) words.push_back(text.substr(at, i - at));
    begin = i;
  }
  if (begin < text.size()) words.push_back(text.substr(begin));
  return words;
}

void WordPiece::add(const std::string& piece, uint32_t id) {
  longest_piece_ = std::max(longest_piece_, piece.size());
  first_[piece] = id;
  if (piece.starts_with(continuation)) next_[piece.substr(continuation.size())] = id;
}

void WordPiece::append_pieces(std::string_view word, std::vector<int64_t>& out) const {
  const auto continues = [](char c) { return (uint8_t(c) & 0xC0) == 0x80; };
  const size_t characters = size_t(std::count_if(word.begin(), word.end(), [&](char c) { return !continues(c); }));
  const size_t before = out.size();
  bool whole = characters <= longest_word;
  for (size_t begin = 0; whole && begin < word.size();) {
    const TokenMap& pieces = begin == 0 ? first_ : next_;
    size_t end = std::min(word.size(), begin + longest_piece_);
    int64_t id = -1;
    for (; end > begin && id < 0; end -= id < 0 ? 1 : 0)
      if (end == word.size() || !continues(word[end])) id = pieces.id(word.substr(begin, end - begin));
    whole = id >= 0;
    out.push_back(id);
    begin = end;
  }
  if (whole) return;
  out.resize(before);
  out.push_back(unknown);
}

void WordPiece::encode(std::string_view word, std::vector<int64_t>& out) const {
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (lock.owns_lock() && cache_.append(word, out)) return;
  const size_t before = out.size();
  append_pieces(word, out);
  if (lock.owns_lock()) cache_.keep(word, out.data() + before, out.size() - before);
}

}  // namespace microemo::text
