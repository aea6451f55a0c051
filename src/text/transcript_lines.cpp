#include "transcript_lines.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "microemo/base/error.h"
#include "utf8.h"

namespace microemo::text {
namespace {

/// 115 days: no clip is so long, and later times are slips (milliseconds, dates).
constexpr double latest_s = 1e7;

/// Length of the tag that the text starts with; 0 when it starts with none. Only what players treat as markup is one: "<3" and
/// "a < b" are words.
size_t tag_length(std::string_view text) {
  static constexpr std::array<std::string_view, 10> names{"i", "b", "u", "s", "font", "c", "v", "ruby", "rt", "lang"};
  if (text.starts_with("{\\")) {
    const size_t end = text.find_first_of("{}", 1);
    return end != std::string_view::npos && text[end] == '}' ? end + 1 : 0;
  }
  if (!text.starts_with('<')) return 0;
  const size_t end = text.find_first_of("<>", 1);
  if (end == std::string_view::npos || text[end] == '<') return 0;
  std::string_view inside = text.substr(1, end - 1);
  if (inside.starts_with('/')) inside.remove_prefix(1);
  Scanner scanner{inside};
  if (read_time(scanner, true) && scanner.rest.empty()) return end + 1;
  std::string name(inside.substr(0, inside.find_first_of(" \t\v\f.")));
  for (char& letter : name) letter = letter >= 'A' && letter <= 'Z' ? char(letter - 'A' + 'a') : letter;
  return std::find(names.begin(), names.end(), name) == names.end() ? 0 : end + 1;
}

}  // namespace

std::string trimmed(const std::string& text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::string_view utf8_text(std::string_view text, const std::filesystem::path& file) {
  if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF"))
    throw DataError("the transcript is UTF-16").where(file).hint("convert it, for instance with: iconv -f UTF-16 -t UTF-8");
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  if (!is_utf8(text))
    throw DataError("the transcript is not UTF-8")
        .where(file)
        .hint("convert it, for instance with: iconv -f WINDOWS-1252 -t UTF-8");
  return text;
}

std::vector<Line> split_lines(const std::string& text, const std::filesystem::path& file) {
  std::vector<Line> lines(1, Line{{}, 1});
  for (size_t i = text.starts_with("\xEF\xBB\xBF") ? 3 : 0; i < text.size(); ++i) {
    if (text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n') continue;
    if (text[i] == '\n' || text[i] == '\r')
      lines.push_back({{}, int64_t(lines.size()) + 1});
    else
      lines.back().text += text[i];
  }
  for (Line& line : lines) {
    line.text = trimmed(line.text);
    if (is_utf8(line.text)) continue;
    utf8_text(std::string_view(text).substr(0, 2), file);
    throw DataError("the transcript is not UTF-8")
        .where(file, line.number)
        .hint("convert it, for instance with: iconv -f WINDOWS-1252 -t UTF-8");
  }
  return lines;
}

bool is_time_line(const std::string& text) { return text.find("-->") != std::string::npos; }

bool Scanner::take(char wanted) {
  if (!rest.starts_with(wanted)) return false;
  rest.remove_prefix(1);
  return true;
}

bool Scanner::take_any(std::string_view wanted) {
  return std::any_of(wanted.begin(), wanted.end(), [this](char c) { return take(c); });
}

size_t Scanner::skip(const char* characters) {
  const size_t count = std::min(rest.find_first_not_of(characters), rest.size());
  rest.remove_prefix(count);
  return count;
}

std::optional<int64_t> Scanner::number(size_t least, size_t most) {
  const size_t count = std::min(rest.find_first_not_of(digits), rest.size());
  if (count < least || count > most) return std::nullopt;
  int64_t value = 0;
  for (const char digit : rest.substr(0, count)) value = value * 10 + (digit - '0');
  rest.remove_prefix(count);
  return value;
}

double to_microseconds(double seconds) {
  return std::abs(seconds) < latest_s ? double(std::llround(seconds * 1e6)) / 1e6 : seconds;
}

/// Up to six digits of hours: more would not be a time, and must not overflow.
std::optional<double> read_time(Scanner& scanner, bool hours_may_be_missing) {
  const auto first = scanner.number(1, 6);
  if (!first || !scanner.take(':')) return std::nullopt;
  const auto second = scanner.number(1, 2);
  if (!second) return std::nullopt;
  const bool has_hours = scanner.take(':');
  if (!has_hours && !hours_may_be_missing) return std::nullopt;
  const auto seconds = has_hours ? scanner.number(1, 2) : second;
  const int64_t hours = has_hours ? *first : 0, minutes = has_hours ? *second : *first;
  if (minutes >= 60 || !seconds || *seconds >= 60 || !scanner.take_any(",.")) return std::nullopt;
  const auto milliseconds = scanner.number(3, 3);
  if (!milliseconds) return std::nullopt;
  return double(((hours * 60 + minutes) * 60 + *seconds) * 1000 + *milliseconds) / 1000.0;
}

std::string without_tags(std::string_view text) {
  std::string kept;
  while (!text.empty()) {
    const size_t tag = tag_length(text);
    if (tag == 0) kept += text[0];
    text.remove_prefix(std::max<size_t>(tag, 1));
  }
  return trimmed(kept);
}

void append_text(std::string& text, const std::string& line) {
  if (!text.empty() && !line.empty()) text += ' ';
  text += line;
}

std::string shown(const std::string& text) {
  constexpr size_t most = 80;
  if (text.size() <= most) return text;
  size_t length = most;
  while (length > 0 && (static_cast<unsigned char>(text[length]) & 0xC0) == 0x80) --length;
  return text.substr(0, length) + "...";
}

void add_cue(std::vector<Cue>& cues, Cue cue, const std::filesystem::path& file, const std::string& name) {
  if (!std::isfinite(cue.start_s) || !std::isfinite(cue.end_s) || cue.start_s < 0 || cue.end_s > latest_s)
    throw DataError("{} lasts from {:g} s to {:g} s", name, cue.start_s, cue.end_s)
        .where(file, cue.line)
        .hint("times are seconds from the start of the clip: correct them or remove the cue");
  if (cue.end_s <= cue.start_s)
    throw DataError("{} ends at {:.3f} s and starts at {:.3f} s", name, cue.end_s, cue.start_s)
        .where(file, cue.line)
        .hint("a cue must end after it starts: correct its times or remove it");
  if (!cues.empty() && cue.start_s < cues.back().start_s)
    throw DataError("{} starts at {:.3f} s, before the one above it ({:.3f} s)", name, cue.start_s, cues.back().start_s)
        .where(file, cue.line)
        .hint("put the cues in order of their start");
  cues.push_back(std::move(cue));
}

}  // namespace microemo::text
