#include <array>

#include "microemo/base/error.h"
#include "microemo/base/files.h"
#include "microemo/text/transcript.h"
#include "transcript_lines.h"

namespace microemo::text {
namespace {

constexpr std::array<std::pair<std::string_view, TranscriptKind>, 5> endings{{{".srt", TranscriptKind::srt},
                                                                              {".vtt", TranscriptKind::vtt},
                                                                              {".json", TranscriptKind::json},
                                                                              {".csv", TranscriptKind::csv},
                                                                              {".txt", TranscriptKind::text}}};

TranscriptKind kind_of(const std::filesystem::path& path) {
  std::string ending = path.extension().string();
  for (char& letter : ending) letter = letter >= 'A' && letter <= 'Z' ? char(letter - 'A' + 'a') : letter;
  for (const auto& [name, kind] : endings)
    if (ending == name) return kind;
  throw DataError("the kind of this transcript is not known")
      .where(path)
      .hint("give a file that ends with .srt, .vtt, .json (Whisper), .csv (MELD) or, without times, .txt");
}

std::string read_small_file(const std::filesystem::path& path) {
  std::error_code trouble;
  const auto size = std::filesystem::file_size(path, trouble);
  if (!trouble && int64_t(size) > largest_transcript_bytes)
    throw DataError("the file has {} MB, and transcripts have {} at most", size >> 20, largest_transcript_bytes >> 20)
        .where(path)
        .hint("is this the right file? A transcript of an hour has less than 1 MB");
  return read_file(path);
}

/// The whole text as one line.
std::string joined_lines(const std::string& text, const std::filesystem::path& file) {
  std::string joined;
  for (const Line& line : split_lines(text, file)) append_text(joined, line.text);
  return joined;
}

}  // namespace

Transcript parse_transcript(const std::string& text, TranscriptKind kind, const std::filesystem::path& name_in_errors) {
  switch (kind) {
    case TranscriptKind::srt:
      return {parse_srt(text, name_in_errors), {}, true};
    case TranscriptKind::vtt:
      return {parse_vtt(text, name_in_errors), {}, true};
    case TranscriptKind::json:
      return {parse_whisper_json(text, name_in_errors), {}, true};
    case TranscriptKind::csv:
      return {parse_transcript_csv(text, name_in_errors), {}, true};
    default:
      return {{}, joined_lines(text, name_in_errors), false};
  }
}

Transcript read_transcript(const std::filesystem::path& path) {
  const TranscriptKind kind = kind_of(path);
  return parse_transcript(read_small_file(path), kind, path);
}

std::vector<Cue> read_srt(const std::filesystem::path& path) { return parse_srt(read_small_file(path), path); }

}  // namespace microemo::text
