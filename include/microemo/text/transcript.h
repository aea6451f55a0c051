#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace microemo::text {

/// One spoken utterance; times in seconds on the clip's clock, half-open [start, end).
struct Cue {
  double start_s = 0, end_s = 0;
  std::string text;  ///< UTF-8, tags such as <i> removed, lines joined by a blank
  int64_t line = 0;  ///< where it stands in the file, 1-based
};

/// SubRip: BOM, CRLF, comma or point before the milliseconds, missing index lines are accepted; times that end before they start,
/// that cannot be read or that go backwards are Error(data) with the line. Cues in order of start.
std::vector<Cue> read_srt(const std::filesystem::path& path);
std::vector<Cue> parse_srt(const std::string& text, const std::filesystem::path& name_in_errors);
std::string format_srt(const std::vector<Cue>& cues);

}  // namespace microemo::text
