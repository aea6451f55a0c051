#include "microemo/text/transcript.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <regex>

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

double seconds_of(const std::smatch& match, size_t group) {
  const auto number = [&](size_t offset) { return std::stoll(match[group + offset]); };
  const int64_t milliseconds = ((number(0) * 60 + number(1)) * 60 + number(2)) * 1000 + number(3);
  return double(milliseconds) / 1000.0;
}

std::optional<Times> read_times(const std::string& text) {
  // Up to six digits of hours: more would not be a time, and must not overflow. Some tools append the picture's coordinates.
  static const std::string time = R"((\d{1,6}):([0-5]?\d):([0-5]?\d)[,.](\d{3}))";
  static const std::regex pattern(time + R"(\s*-->\s*)" + time + R"((\s+[XY][12]:-?\d+)*)");
  std::smatch match;
  if (!std::regex_match(text, match, pattern)) return std::nullopt;
  return Times{seconds_of(match, 1), seconds_of(match, 5)};
}

/// Only what players treat as markup goes: "<3" and "a < b" are words.
std::string without_tags(const std::string& text) {
  static const std::regex tags(R"(</?(i|b|u|s|font|c|v|ruby|rt)([\s.][^<>]*)?>|\{\\[^{}]*\})", std::regex::icase);
  return trimmed(std::regex_replace(text, tags, ""));
}

Cue read_cue(const Line& line, double earliest_s, const std::filesystem::path& file) {
  const auto times = read_times(line.text);
  if (!times)
    throw DataError("cannot read the times \"{}\"", line.text)
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
    throw DataError("expected the times of a cue, found \"{}\"", lines[i].text)
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
