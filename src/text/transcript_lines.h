#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "microemo/text/transcript.h"

// What the readers of transcripts share.
namespace microemo::text {

struct Line {
  std::string text;    ///< without blanks at its ends
  int64_t number = 0;  ///< 1-based
};

std::string trimmed(const std::string& text);
/// LF, CRLF and lone CR end a line; a byte order mark at the start is no text. Throws Error(data) for text that is not UTF-8,
/// with its line where it has lines.
std::vector<Line> split_lines(const std::string& text, const std::filesystem::path& file);
/// Throws Error(data) for UTF-16 and for what is not UTF-8. Without the byte order mark.
std::string_view utf8_text(std::string_view text, const std::filesystem::path& file);

bool is_time_line(const std::string& text);

/// What is left to read of a line. The transcript is anyone's file: a scan of one pass has no depth and no time of its own that a
/// long line could exhaust, as a regular expression has.
struct Scanner {
  std::string_view rest;

  bool take(char wanted);
  bool take_any(std::string_view wanted);
  size_t skip(const char* characters);
  /// A number of so many digits; nothing, and nothing taken, when there are fewer or more.
  std::optional<int64_t> number(size_t least, size_t most);
};

inline constexpr const char* blanks = " \t\v\f";
inline constexpr const char* digits = "0123456789";

/// To microseconds, so that what went through single precision or arithmetic is what was meant.
double to_microseconds(double seconds);

/// H:MM:SS,mmm with a comma or a point, and where `hours` may be missing, MM:SS.mmm.
std::optional<double> read_time(Scanner& scanner, bool hours_may_be_missing = false);

/// Without the tags that players treat as markup: "<3" and "a < b" are words.
std::string without_tags(std::string_view text);
/// Joins lines by a blank.
void append_text(std::string& text, const std::string& line);

/// A line as a message shows it: the start of a long one.
std::string shown(const std::string& text);

/// Appends a cue. Throws Error(data) for times that are no numbers, negative, absurdly late, end before they start, or start
/// before the cue above; messages call it `name`.
void add_cue(std::vector<Cue>& cues, Cue cue, const std::filesystem::path& file, const std::string& name = "the cue");

}  // namespace microemo::text
