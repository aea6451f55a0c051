#include "microemo/text/transcript.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include <fmt/format.h>

#include "microemo/base/error.h"
#include "transcript_lines.h"

namespace microemo::text {
namespace {

struct Times {
  double start_s = 0, end_s = 0;
};

bool is_index(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) { return c >= '0' && c <= '9'; });
}

/// A cue ends at an empty line, at the next time line, or at the index above it where the empty line was forgotten.
bool ends_cue(const std::vector<Line>& lines, size_t i) {
  const std::string& text = lines[i].text;
  return text.empty() || is_time_line(text) || (is_index(text) && i + 1 < lines.size() && is_time_line(lines[i + 1].text));
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

Cue read_cue(const Line& line, const std::filesystem::path& file) {
  const auto times = read_times(line.text);
  if (!times)
    throw DataError("cannot read the times \"{}\"", shown(line.text))
        .where(file, line.number)
        .hint("write them as 00:00:01,500 --> 00:00:03,250");
  return Cue{times->start_s, times->end_s, {}, line.number};
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
  const std::vector<Line> lines = split_lines(text, name_in_errors);
  std::vector<Cue> cues;
  for (size_t i = 0; find_times(lines, i, name_in_errors);) {
    add_cue(cues, read_cue(lines[i], name_in_errors), name_in_errors);
    for (++i; i < lines.size() && !ends_cue(lines, i); ++i) append_text(cues.back().text, without_tags(lines[i].text));
  }
  return cues;
}

std::string format_srt(const std::vector<Cue>& cues) {
  std::string text;
  for (size_t i = 0; i < cues.size(); ++i)
    text += fmt::format("{}\n{} --> {}\n{}\n\n", i + 1, format_time(cues[i].start_s), format_time(cues[i].end_s), cues[i].text);
  return text;
}

}  // namespace microemo::text
