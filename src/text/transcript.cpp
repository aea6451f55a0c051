#include "microemo/text/transcript.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include "microemo/base/error.h"
#include "microemo/base/files.h"
#include "utf8.h"

namespace microemo::text {
namespace {

struct Line {
  std::string text;
  int64_t number = 0;  ///< 1-based
};

struct Times {
  double start_s = 0, end_s = 0;
};

std::string trimmed(const std::string& text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

/// LF, CRLF and lone CR end a line; a byte order mark at the start is no text.
std::vector<Line> split_lines(const std::string& text) {
  std::vector<Line> lines(1, Line{{}, 1});
  for (size_t i = text.starts_with("\xEF\xBB\xBF") ? 3 : 0; i < text.size(); ++i) {
    if (text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n') continue;
    if (text[i] == '\n' || text[i] == '\r')
      lines.push_back({{}, int64_t(lines.size()) + 1});
    else
      lines.back().text += text[i];
  }
  for (Line& line : lines) line.text = trimmed(line.text);
  return lines;
}

bool is_index(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) { return c >= '0' && c <= '9'; });
}

bool is_time_line(const std::string& text) { return text.find("-->") != std::string::npos; }

/// A cue ends at an empty line, at the next time line, or at the index above it where the empty line was forgotten.
bool ends_cue(const std::vector<Line>& lines, size_t i) {
  const std::string& text = lines[i].text;
  return text.empty() || is_time_line(text) || (is_index(text) && i + 1 < lines.size() && is_time_line(lines[i + 1].text));
}

constexpr const char* blanks = " \t\v\f";
constexpr const char* digits = "0123456789";

/// What is left to read of a line. The transcript is anyone's file: a scan of one pass has no depth and no time of its own that a
/// long line could exhaust, as a regular expression has.
struct Scanner {
  std::string_view rest;

  bool take(char wanted) {
    if (!rest.starts_with(wanted)) return false;
    rest.remove_prefix(1);
    return true;
  }
  bool take_any(std::string_view wanted) {
    return std::any_of(wanted.begin(), wanted.end(), [this](char c) { return take(c); });
  }
  size_t skip(const char* characters) {
    const size_t count = std::min(rest.find_first_not_of(characters), rest.size());
    rest.remove_prefix(count);
    return count;
  }
  /// A number of so many digits; nothing, and nothing taken, when there are fewer or more.
  std::optional<int64_t> number(size_t least, size_t most) {
    const size_t count = std::min(rest.find_first_not_of(digits), rest.size());
    if (count < least || count > most) return std::nullopt;
    int64_t value = 0;
    for (const char digit : rest.substr(0, count)) value = value * 10 + (digit - '0');
    rest.remove_prefix(count);
    return value;
  }
};

/// Up to six digits of hours: more would not be a time, and must not overflow.
std::optional<double> read_time(Scanner& scanner) {
  const auto hours = scanner.number(1, 6);
  if (!hours || !scanner.take(':')) return std::nullopt;
  const auto minutes = scanner.number(1, 2);
  if (!minutes || *minutes >= 60 || !scanner.take(':')) return std::nullopt;
  const auto seconds = scanner.number(1, 2);
  if (!seconds || *seconds >= 60 || !scanner.take_any(",.")) return std::nullopt;
  const auto milliseconds = scanner.number(3, 3);
  if (!milliseconds) return std::nullopt;
  return double(((*hours * 60 + *minutes) * 60 + *seconds) * 1000 + *milliseconds) / 1000.0;
}

/// Some tools append the picture's coordinates, as in " X1:100 X2:200 Y1:300 Y2:400".
bool skip_coordinates(Scanner& scanner) {
  while (!scanner.rest.empty()) {
    if (scanner.skip(blanks) == 0 || !scanner.take_any("XY") || !scanner.take_any("12") || !scanner.take(':')) return false;
    scanner.take('-');
    if (scanner.skip(digits) == 0) return false;
  }
  return true;
}

std::optional<Times> read_times(const std::string& text) {
  Scanner scanner{text};
  const auto start = read_time(scanner);
  scanner.skip(blanks);
  if (!start || !scanner.take('-') || !scanner.take('-') || !scanner.take('>')) return std::nullopt;
  scanner.skip(blanks);
  const auto end = read_time(scanner);
  if (!end || !skip_coordinates(scanner)) return std::nullopt;
  return Times{*start, *end};
}

/// Length of the tag that the text starts with; 0 when it starts with none. Only what players treat as markup is one: "<3" and
/// "a < b" are words.
size_t tag_length(std::string_view text) {
  static constexpr std::array<std::string_view, 9> names{"i", "b", "u", "s", "font", "c", "v", "ruby", "rt"};
  if (text.starts_with("{\\")) {
    const size_t end = text.find_first_of("{}", 1);
    return end != std::string_view::npos && text[end] == '}' ? end + 1 : 0;
  }
  if (!text.starts_with('<')) return 0;
  const size_t end = text.find_first_of("<>", 1);
  if (end == std::string_view::npos || text[end] == '<') return 0;
  std::string_view inside = text.substr(1, end - 1);
  if (inside.starts_with('/')) inside.remove_prefix(1);
  std::string name(inside.substr(0, inside.find_first_of(" \t\v\f.")));
  for (char& letter : name) letter = letter >= 'A' && letter <= 'Z' ? char(letter - 'A' + 'a') : letter;
  return std::find(names.begin(), names.end(), name) == names.end() ? 0 : end + 1;
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

/// A line as a message shows it: the start of a long one.
std::string shown(const std::string& text) {
  constexpr size_t most = 80;
  if (text.size() <= most) return text;
  size_t length = most;
  while (length > 0 && (static_cast<unsigned char>(text[length]) & 0xC0) == 0x80) --length;
  return text.substr(0, length) + "...";
}

Cue read_cue(const Line& line, double earliest_s, const std::filesystem::path& file) {
  const auto times = read_times(line.text);
  if (!times)
    throw DataError("cannot read the times \"{}\"", shown(line.text))
        .where(file, line.number)
        .hint("write them as 00:00:01,500 --> 00:00:03,250");
  if (times->end_s <= times->start_s)
    throw DataError("the cue ends at {:.3f} s and starts at {:.3f} s", times->end_s, times->start_s)
        .where(file, line.number)
        .hint("a cue must end after it starts: correct its times or remove it");
  if (times->start_s < earliest_s)
    throw DataError("the cue starts at {:.3f} s, before the one above it ({:.3f} s)", times->start_s, earliest_s)
        .where(file, line.number)
        .hint("put the cues in order of their start");
  return Cue{times->start_s, times->end_s, {}, line.number};
}

void append_text(Cue& cue, const std::string& line) {
  const std::string text = without_tags(line);
  if (!cue.text.empty() && !text.empty()) cue.text += ' ';
  cue.text += text;
}

/// Moves past empty lines and the index of the next cue; false at the end of the file.
bool find_times(const std::vector<Line>& lines, size_t& i, const std::filesystem::path& file) {
  while (i < lines.size() && lines[i].text.empty()) ++i;
  if (i == lines.size()) return false;
  if (is_index(lines[i].text) && i + 1 < lines.size()) ++i;
  if (!is_time_line(lines[i].text))
    throw DataError("expected the times of a cue, found \"{}\"", shown(lines[i].text))
        .where(file, lines[i].number)
        .hint("every cue starts with a line such as 00:00:01,500 --> 00:00:03,250; its text has no empty line in it");
  return true;
}

std::string format_time(double seconds) {
  const int64_t milliseconds = std::llround(seconds * 1000.0);
  return fmt::format("{:02}:{:02}:{:02},{:03}", milliseconds / 3600000, milliseconds / 60000 % 60, milliseconds / 1000 % 60,
                     milliseconds % 1000);
}

}  // namespace

std::vector<Cue> parse_srt(const std::string& text, const std::filesystem::path& name_in_errors) {
  const std::vector<Line> lines = split_lines(text);
  for (const Line& line : lines)
    if (!is_utf8(line.text))
      throw DataError("the transcript is not UTF-8")
          .where(name_in_errors, line.number)
          .hint("convert it to UTF-8, for instance with iconv");
  std::vector<Cue> cues;
  for (size_t i = 0; find_times(lines, i, name_in_errors);) {
    Cue cue = read_cue(lines[i], cues.empty() ? 0.0 : cues.back().start_s, name_in_errors);
    for (++i; i < lines.size() && !ends_cue(lines, i); ++i) append_text(cue, lines[i].text);
    cues.push_back(std::move(cue));
  }
  return cues;
}

std::vector<Cue> read_srt(const std::filesystem::path& path) { return parse_srt(read_file(path), path); }

std::string format_srt(const std::vector<Cue>& cues) {
  std::string text;
  for (size_t i = 0; i < cues.size(); ++i)
    text += fmt::format("{}\n{} --> {}\n{}\n\n", i + 1, format_time(cues[i].start_s), format_time(cues[i].end_s), cues[i].text);
  return text;
}

}  // namespace microemo::text
