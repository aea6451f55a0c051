#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace microemo::text {

/// A spoken word; times as those of Cue.
struct TimedWord {
  double start_s = 0, end_s = 0;
  std::string text;
};

/// One spoken utterance; times in seconds on the clip's clock, half-open [start, end).
struct Cue {
  double start_s = 0, end_s = 0;
  std::string text;                   ///< UTF-8, tags such as <i> removed, lines joined by a blank
  int64_t line = 0;                   ///< where it stands in the file, 1-based; 0 in JSON
  std::string speaker = {};           ///< where the file says who speaks
  std::vector<TimedWord> words = {};  ///< in order of their start, where the file has their times
};

/// What is said in a clip: with times, or as one text that belongs to the whole clip.
struct Transcript {
  std::vector<Cue> cues;
  std::string text;    ///< of a file without times; then there are no cues
  bool timed = false;  ///< false: `text` is all there is
};

/// The kinds of files, by the name's ending (.srt, .vtt, .json, .csv, .txt).
enum class TranscriptKind { srt, vtt, json, csv, text };

/// Files above this are no transcripts (Error(data)).
inline constexpr int64_t largest_transcript_bytes = int64_t(64) << 20;

/// Reads a file after the kind that its name ends with. Throws Error(data) as the parsers below do, for another ending, and for a
/// file that is missing, no regular file, or larger than largest_transcript_bytes.
Transcript read_transcript(const std::filesystem::path& path);
/// The same of text in memory.
Transcript parse_transcript(const std::string& text, TranscriptKind kind, const std::filesystem::path& name_in_errors);

// The parsers. UTF-8 with or without a byte order mark, LF, CRLF or CR. Each throws Error(data) with file and line for UTF-16 and
// other encodings, and for times that cannot be read, are negative, end where they start or before it, or go backwards. Cues come
// in order of their start and may overlap (utterance_rules.h). Times are rounded to microseconds.

/// SubRip: comma or point before the milliseconds; missing index lines are accepted.
std::vector<Cue> read_srt(const std::filesystem::path& path);
std::vector<Cue> parse_srt(const std::string& text, const std::filesystem::path& name_in_errors);
/// WebVTT (W3C): notes, styles, regions and the settings of cues are no text; entities are their characters; <v NAME> names the
/// speaker of the cue; times within a cue are those of its words. Throws also without WEBVTT in the first line.
std::vector<Cue> parse_vtt(const std::string& text, const std::filesystem::path& name_in_errors);
/// The JSON of speech recognisers: "segments" with "start", "end", "text", and where there are "words" and "speaker" (Whisper,
/// faster-whisper, WhisperX), the list of them alone, or "transcription" with "offsets" in milliseconds (whisper.cpp). Segments
/// without text are left out: Whisper writes them where it heard nothing. Words without times (WhisperX) have none in the cue.
std::vector<Cue> parse_whisper_json(const std::string& text, const std::filesystem::path& name_in_errors);
/// A table like MELD's: columns StartTime, EndTime and Utterance, and where there are Speaker and Dialogue_ID; start_s, end_s,
/// start, end, text, in capitals or not. Times as 00:01:02,345 or in seconds. Throws also for rows of several dialogues.
std::vector<Cue> parse_transcript_csv(const std::string& text, const std::filesystem::path& name_in_errors);

std::string format_srt(const std::vector<Cue>& cues);

}  // namespace microemo::text
