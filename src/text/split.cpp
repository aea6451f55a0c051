#include "split.h"

#include <array>
#include <utility>

#include "unicode.h"

namespace microemo::text {
namespace {

constexpr std::array<std::pair<SplitPattern, std::string_view>, 4> patterns = {{
    {SplitPattern::gpt2, R"('(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"},
    {SplitPattern::qwen2,
     R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
    {SplitPattern::llama3,
     R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
    {SplitPattern::tekken,
     R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
}};

constexpr uint16_t letter_or_number = letter | number, any_run = letter | number | space;

/// Walks over characters by their classes.
class Matcher {
 public:
  Matcher(std::string_view text, size_t begin) : text_(text), classes_(class_table()), begin_(begin) {
    first_end_ = begin;
    first_ = next_character(text, first_end_);
    first_classes_ = classes_[first_];
  }

  /// '(?:[sdmt]|ll|ve|re); with `any_case` also in capitals, and with the long s, which is an s there.
  size_t contraction(bool any_case) const {
    if (first_ != '\'') return 0;
    const auto at = [&](size_t k) -> char {
      const char c = begin_ + k < text_.size() ? text_[begin_ + k] : '\0';
      return any_case && c >= 'A' && c <= 'Z' ? char(c + 32) : c;
    };
    const char one = at(1), two = at(2);
    if (one == 's' || one == 'd' || one == 'm' || one == 't') return begin_ + 2;
    if ((one == 'l' && two == 'l') || (one == 'v' && two == 'e') || (one == 'r' && two == 'e')) return begin_ + 3;
    return any_case && text_.substr(begin_ + 1, 2) == "\xC5\xBF" ? begin_ + 3 : 0;
  }

  /// [^\r\n\p{L}\p{N}]?\p{L}+
  size_t letters_after_any() const {
    if (first_classes_ & letter) return run(first_end_, letter, letter);
    if (!may_lead() || !starts(first_end_, letter)) return 0;
    return run(first_end_, letter, letter);
  }

  /// [^\r\n\p{L}\p{N}]?U*L+|[^\r\n\p{L}\p{N}]?U+L* where U and L are upper_run and lower_run, which share some characters.
  size_t cased_letters() const {
    if (may_lead())
      if (const size_t end = upper_then_lower(first_end_)) return end;
    if (const size_t end = upper_then_lower(begin_)) return end;
    if (may_lead() && starts(first_end_, upper_run)) return run(run(first_end_, upper_run, upper_run), lower_run, lower_run);
    return first_classes_ & upper_run ? run(run(begin_, upper_run, upper_run), lower_run, lower_run) : 0;
  }

  /// \p{N}{1,most}
  size_t digits(size_t most) const {
    if (!(first_classes_ & number)) return 0;
    size_t end = first_end_;
    for (size_t count = 1; count < most && starts(end, number); ++count) next_character(text_, end);
    return end;
  }

  /// " ?" and a run of characters whose classes, under the mask, are `wanted`.
  size_t run_after_blank(uint16_t mask, uint16_t wanted) const {
    if ((first_classes_ & mask) == wanted) return run(first_end_, mask, wanted);
    if (first_ != ' ' || first_end_ == text_.size()) return 0;
    size_t end = first_end_;
    return (classes_[next_character(text_, end)] & mask) == wanted ? run(end, mask, wanted) : 0;
  }

  /// " ?[^\s\p{L}\p{N}]+" and a tail of line ends, with `slash` also of slashes.
  size_t signs(bool slash) const {
    size_t end = run_after_blank(any_run, 0);
    while (end != 0 && end < text_.size() && (is_line_end(text_[end]) || (slash && text_[end] == '/'))) ++end;
    return end;
  }

  /// \s*[\r\n]+|\s+(?!\S)|\s+, or without the first part. Something always matches here: the character is a space.
  size_t blanks(bool to_line_end) const {
    size_t end = begin_, last = begin_, line = 0;
    while (starts(end, space)) {
      last = end;
      const char32_t c = next_character(text_, end);
      if (c == '\n' || c == '\r') line = end;
    }
    if (to_line_end && line != 0) return line;
    return end == text_.size() || last == begin_ ? end : last;
  }

 private:
  static bool is_line_end(char c) { return c == '\r' || c == '\n'; }
  bool may_lead() const { return !(first_classes_ & letter_or_number) && first_ != '\r' && first_ != '\n'; }
  bool starts(size_t at, uint16_t classes) const {
    return at < text_.size() && (classes_[next_character(text_, at)] & classes) != 0;
  }
  size_t run(size_t from, uint16_t mask, uint16_t wanted) const {
    for (size_t next = from; from < text_.size(); from = next)
      if ((classes_[next_character(text_, next)] & mask) != wanted) break;
    return from;
  }
  /// U*L+: all that U takes, then L; where L finds nothing, U gives back as little as it can.
  size_t upper_then_lower(size_t from) const {
    const size_t upper = run(from, upper_run, upper_run);
    if (starts(upper, lower_run)) return run(upper, lower_run, lower_run);
    for (size_t at = upper; at > from;) {
      const size_t end = at;
      if (classes_[previous_character(text_, at)] & lower_run) return end;
    }
    return 0;
  }

  std::string_view text_;
  const uint16_t* classes_;
  size_t begin_, first_end_;
  char32_t first_;
  uint16_t first_classes_;
};

size_t gpt2_word_end(const Matcher& match) {
  if (const size_t end = match.contraction(false)) return end;
  if (const size_t end = match.run_after_blank(letter, letter)) return end;
  if (const size_t end = match.run_after_blank(number, number)) return end;
  if (const size_t end = match.run_after_blank(any_run, 0)) return end;
  return match.blanks(false);
}

}  // namespace

std::optional<SplitPattern> split_pattern(std::string_view regular_expression) {
  for (const auto& [pattern, text] : patterns)
    if (text == regular_expression) return pattern;
  return std::nullopt;
}

std::vector<std::string> known_patterns() {
  std::vector<std::string> texts;
  for (const auto& pattern : patterns) texts.emplace_back(pattern.second);
  return texts;
}

size_t word_end(SplitPattern pattern, std::string_view text, size_t begin) {
  const Matcher match(text, begin);
  if (pattern == SplitPattern::gpt2) return gpt2_word_end(match);
  const bool tekken = pattern == SplitPattern::tekken;
  if (!tekken)
    if (const size_t end = match.contraction(true)) return end;
  if (const size_t end = tekken ? match.cased_letters() : match.letters_after_any()) return end;
  if (const size_t end = match.digits(pattern == SplitPattern::llama3 ? 3 : 1)) return end;
  if (const size_t end = match.signs(tekken)) return end;
  return match.blanks(true);
}

}  // namespace microemo::text
