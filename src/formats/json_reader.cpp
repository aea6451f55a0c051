#include "json_reader.h"

#include <algorithm>

#include "microemo/base/error.h"
#include "microemo/formats/utf8.h"

namespace microemo::formats {
namespace {

constexpr int deepest = 64;

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_plain(char c) { return is_digit(c) || c == '+' || c == '-' || c == '.' || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z'); }

/// Where the text that begins at `at` ends: the place of its closing quote, or the end of everything.
size_t end_of_text(std::string_view json, size_t at) {
  while (true) {
    at = std::min(json.find_first_of("\"\\", at), json.size());
    if (at == json.size() || json[at] == '"') return at;
    at = std::min(at + 2, json.size());
  }
}

}  // namespace

void JsonReader::mistake(const std::string& what) const {
  throw CheckpointError("this is not the JSON that is expected: {} at byte {}", what, at_);
}

char JsonReader::peek() {
  while (at_ < text_.size() && is_blank(text_[at_])) ++at_;
  if (at_ == text_.size()) mistake("it ends");
  return text_[at_];
}

void JsonReader::expect(char wanted) {
  if (peek() != wanted) mistake(fmt::format("'{}' is expected", wanted));
  ++at_;
}

void JsonReader::begin_object() {
  expect('{');
  first_ = true;
}

void JsonReader::begin_array() {
  expect('[');
  first_ = true;
}

bool JsonReader::next_item(char closing) {
  if (peek() == closing) {
    ++at_;
    first_ = false;
    return false;
  }
  if (!first_) expect(',');
  first_ = false;
  return true;
}

bool JsonReader::next_key(std::string& key) {
  if (!next_item('}')) return false;
  key = text();
  expect(':');
  return true;
}

bool JsonReader::next_element() { return next_item(']'); }

char32_t JsonReader::hex4() {
  char32_t value = 0;
  for (int i = 0; i < 4; ++i, ++at_) {
    const char c = at_ < text_.size() ? text_[at_] : '"';
    if (!is_digit(c) && !(c >= 'a' && c <= 'f') && !(c >= 'A' && c <= 'F')) mistake("four hexadecimal digits are expected");
    value = value << 4 | static_cast<char32_t>(is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
  }
  return value;
}

void JsonReader::append_escape(std::string& text) {
  constexpr std::string_view marks = "\"\\/bfnrt", values = "\"\\/\b\f\n\r\t";
  const char mark = at_ < text_.size() ? text_[at_] : ' ';
  ++at_;
  if (const size_t place = marks.find(mark); place != std::string_view::npos) {
    text += values[place];
    return;
  }
  if (mark != 'u') mistake("this escape is unknown");
  char32_t c = hex4();
  if (c >= 0xD800 && c < 0xDC00 && text_.substr(at_, 2) == "\\u") {
    at_ += 2;
    const char32_t low = hex4();
    if (low < 0xDC00 || low > 0xDFFF) mistake("half a surrogate pair stands");
    c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
  }
  const auto encoded = encode_utf8({&c, 1});
  if (!encoded) mistake("half a surrogate pair stands");
  text += *encoded;
}

std::string JsonReader::text() {
  expect('"');
  const size_t end = end_of_text(text_, at_);
  std::string text;
  text.reserve(end - at_);  // escapes only become shorter: the text never takes more than it takes in the file
  while (at_ < end) {
    const std::string_view left = text_.substr(at_, end - at_);
    const std::string_view plain = left.substr(0, left.find('\\'));
    if (std::any_of(plain.begin(), plain.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }))
      mistake("a control character stands in a text");
    text.append(plain);
    at_ += plain.size();
    if (at_ < end) {
      ++at_;
      append_escape(text);
    }
  }
  if (at_ == text_.size()) mistake("a text has no end");
  ++at_;
  if (!is_utf8(text)) mistake("a text is not UTF-8");
  return text;
}

uint64_t JsonReader::whole_number() {
  if (!is_digit(peek())) mistake("a whole number from 0 is expected");
  const size_t begin = at_;
  uint64_t value = 0;
  for (; at_ < text_.size() && is_digit(text_[at_]); ++at_)
    if (__builtin_mul_overflow(value, uint64_t{10}, &value) ||
        __builtin_add_overflow(value, static_cast<uint64_t>(text_[at_] - '0'), &value))
      mistake("a number is over 2^64 - 1");
  if (text_[begin] == '0' && at_ - begin > 1) mistake("a number begins with 0");
  const char next = at_ < text_.size() ? text_[at_] : ' ';
  if (next == '.' || next == 'e' || next == 'E') mistake("a whole number is expected");
  return value;
}

/// A number or a word, loosely: it only has to end where it should.
void JsonReader::skip_plain() {
  const size_t begin = at_;
  while (at_ < text_.size() && is_plain(text_[at_])) ++at_;
  if (at_ == begin) mistake("a value is expected");
}

void JsonReader::skip_value() {
  if (++depth_ > deepest) mistake("over 64 levels");
  std::string key;
  if (at_object()) {
    for (begin_object(); next_key(key);) skip_value();
  } else if (at_array()) {
    for (begin_array(); next_element();) skip_value();
  } else if (at_text()) {
    text();
  } else {
    skip_plain();
  }
  --depth_;
}

void JsonReader::end() {
  while (at_ < text_.size() && is_blank(text_[at_])) ++at_;
  if (at_ != text_.size()) mistake("something follows the end");
}

}  // namespace microemo::formats
