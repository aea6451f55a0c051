#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace microemo::text {

/// What a public tokenizer asks of a character. The libraries disagree on the version of Unicode, so each question has its own
/// bit (tests/reference/unicode_tables.py asks them).
enum CharacterClass : uint16_t {
  letter = 1 << 0,               ///< \p{L}
  number = 1 << 1,               ///< \p{N}
  space = 1 << 2,                ///< \s, White_Space
  upper_run = 1 << 3,            ///< [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]
  lower_run = 1 << 4,            ///< [\p{Ll}\p{Lm}\p{Lo}\p{M}]
  word = 1 << 5,                 ///< \w of Rust's regular expressions
  bert_control = 1 << 6,         ///< taken away by tokenizers' BERT clean-up
  bert_punctuation = 1 << 7,     ///< a word of its own to tokenizers' BERT
  bert_accent = 1 << 8,          ///< stripped as an accent by tokenizers' BERT
  python_control = 1 << 9,       ///< taken away by transformers' BertTokenizer, which asks Python's unicodedata
  python_punctuation = 1 << 10,  ///< a word of its own to it
  python_accent = 1 << 11,       ///< stripped as an accent by it
};

/// Classes of every character, 0x110000 of them, built at the first call.
const uint16_t* class_table();

/// The character at `i`, which moves past it. The text is well-formed UTF-8 and `i` stands at a character.
inline char32_t next_character(std::string_view text, size_t& i) {
  const auto byte = [&](size_t k) { return char32_t(uint8_t(text[k])); };
  const char32_t lead = byte(i);
  if (lead < 0x80) return ++i, lead;
  if (lead < 0xE0) return i += 2, (lead & 0x1F) << 6 | (byte(i - 1) & 0x3F);
  if (lead < 0xF0) return i += 3, (lead & 0x0F) << 12 | (byte(i - 2) & 0x3F) << 6 | (byte(i - 1) & 0x3F);
  return i += 4, (lead & 0x07) << 18 | (byte(i - 3) & 0x3F) << 12 | (byte(i - 2) & 0x3F) << 6 | (byte(i - 1) & 0x3F);
}

/// The same backwards: the character that ends at `i`, which moves to its first byte.
char32_t previous_character(std::string_view text, size_t& i);
void append_character(std::string& text, char32_t character);

/// These take well-formed UTF-8.
std::string lower_case(std::string_view text);  ///< character by character: no final sigma
std::string to_nfd(std::string_view text);      ///< canonical decomposition, marks in canonical order
std::string to_nfc(std::string_view text);      ///< canonical composition

}  // namespace microemo::text
