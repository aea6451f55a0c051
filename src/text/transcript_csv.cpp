#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "microemo/base/error.h"
#include "microemo/formats/csv.h"
#include "microemo/text/transcript.h"
#include "transcript_lines.h"

namespace microemo::text {
namespace {

namespace fs = std::filesystem;

constexpr size_t none = std::numeric_limits<size_t>::max();

std::string small_letters(std::string text) {
  for (char& letter : text) letter = letter >= 'A' && letter <= 'Z' ? char(letter - 'A' + 'a') : letter;
  return text;
}

/// The column of one of these names, the first that is there.
size_t column_of(const formats::Table& table, std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names)
    for (size_t i = 0; i < table.header.size(); ++i)
      if (small_letters(trimmed(table.header[i])) == name) return i;
  return none;
}

size_t needed_column(const formats::Table& table, std::initializer_list<std::string_view> names, const char* shown_name) {
  const size_t column = column_of(table, names);
  if (column == none)
    throw DataError("the table has no column {}", shown_name)
        .where(table.file, 1)
        .hint("name its columns StartTime, EndTime and Utterance, as MELD's, or start_s, end_s and text");
  return column;
}

/// 00:01:02,345, or seconds.
double time_of(const formats::TableRow& row, size_t column, const fs::path& file) {
  const std::string text = trimmed(row.fields[column]);
  Scanner scanner{text};
  const auto time = read_time(scanner);
  if (time && scanner.rest.empty()) return *time;
  double seconds = 0;
  const auto [rest, trouble] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (trouble != std::errc() || rest != text.data() + text.size() || !std::isfinite(seconds))
    throw DataError("cannot read the time \"{}\"", shown(text))
        .where(file, row.line)
        .hint("write it as 00:01:02,345 or in seconds");
  return to_microseconds(seconds);
}

}  // namespace

std::vector<Cue> parse_transcript_csv(const std::string& text, const std::filesystem::path& name_in_errors) {
  const formats::Table table = formats::parse_csv(utf8_text(text, name_in_errors), name_in_errors);
  const size_t start = needed_column(table, {"starttime", "start_s", "start"}, "StartTime"),
               end = needed_column(table, {"endtime", "end_s", "end"}, "EndTime"),
               words = needed_column(table, {"utterance", "text", "transcript", "sentence"}, "Utterance"),
               speaker = column_of(table, {"speaker"}), dialogue = column_of(table, {"dialogue_id"});
  std::vector<Cue> cues;
  for (const formats::TableRow& row : table.rows) {
    if (dialogue != none && row.fields[dialogue] != table.rows[0].fields[dialogue])
      throw DataError("the table holds the dialogues {} and {}", shown(table.rows[0].fields[dialogue]),
                      shown(row.fields[dialogue]))
          .where(name_in_errors, row.line)
          .hint("a transcript belongs to one clip: keep the rows of its dialogue");
    Cue cue{time_of(row, start, name_in_errors), time_of(row, end, name_in_errors), trimmed(row.fields[words]), row.line};
    if (speaker != none) cue.speaker = trimmed(row.fields[speaker]);
    add_cue(cues, std::move(cue), name_in_errors);
  }
  return cues;
}

}  // namespace microemo::text
