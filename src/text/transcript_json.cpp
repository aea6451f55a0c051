#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "microemo/base/error.h"
#include "microemo/base/json.h"
#include "microemo/text/transcript.h"
#include "transcript_lines.h"

namespace microemo::text {
namespace {

namespace fs = std::filesystem;

Error not_a_transcript(const fs::path& file) {
  return DataError("this JSON holds no segments of speech")
      .where(file)
      .hint("give what Whisper, faster-whisper, WhisperX or whisper.cpp write: \"segments\" with start, end and text");
}

double seconds(const Json& object, const char* key, const fs::path& file) {
  return to_microseconds(json_get<double>(object, key, file));
}

/// WhisperX gives no times to words that it could not align, and whisper.cpp's marks such as [_BEG_] are none.
void add_word(std::vector<TimedWord>& words, double start_s, double end_s, const std::string& text) {
  const bool in_order = words.empty() || start_s >= words.back().start_s;
  if (!text.empty() && start_s >= 0 && end_s > start_s && in_order) words.push_back({start_s, end_s, text});
}

std::vector<TimedWord> words_of(const Json& list, const fs::path& file) {
  std::vector<TimedWord> words;
  if (!list.is_array()) return words;
  for (const Json& word : list) {
    const bool has_times = word.is_object() && word.contains("start") && word.contains("end") && word["start"].is_number() &&
                           word["end"].is_number();
    if (!has_times) continue;
    const char* key = word.contains("word") ? "word" : "text";  // whisper-timestamped has the latter
    add_word(words, seconds(word, "start", file), seconds(word, "end", file), trimmed(json_get<std::string>(word, key, file)));
  }
  return words;
}

Cue segment_of_whisper(const Json& segment, const fs::path& file) {
  Cue cue{seconds(segment, "start", file), seconds(segment, "end", file), trimmed(json_get<std::string>(segment, "text", file))};
  if (segment.contains("speaker") && segment["speaker"].is_string()) cue.speaker = segment["speaker"].get<std::string>();
  if (segment.contains("words")) cue.words = words_of(segment["words"], file);
  return cue;
}

double offset_s(const Json& segment, const char* key, const fs::path& file) {
  return to_microseconds(double(json_get<int64_t>(json_get<Json>(segment, "offsets", file), key, file)) / 1000);
}

/// A token that starts with a blank begins a word, as its tokenizer has it.
std::vector<TimedWord> words_of_tokens(const Json& tokens, const fs::path& file) {
  std::vector<TimedWord> words;
  if (!tokens.is_array()) return words;
  for (const Json& token : tokens) {
    const auto text = json_get<std::string>(token, "text", file);
    if (text.starts_with("[_") || text.starts_with("<|")) continue;
    const double start_s = offset_s(token, "from", file), end_s = offset_s(token, "to", file);
    if (text.starts_with(' ') || words.empty()) {
      add_word(words, start_s, end_s, trimmed(text));
    } else {
      words.back().text += text;
      words.back().end_s = std::max(words.back().end_s, end_s);
    }
  }
  return words;
}

Cue segment_of_whisper_cpp(const Json& segment, const fs::path& file) {
  Cue cue{offset_s(segment, "from", file), offset_s(segment, "to", file), trimmed(json_get<std::string>(segment, "text", file))};
  if (segment.contains("tokens")) cue.words = words_of_tokens(segment["tokens"], file);
  return cue;
}

/// The words of a list beside the segments go to those in which their middle lies.
void give_words(std::vector<Cue>& cues, const std::vector<TimedWord>& words) {
  const bool have_none = std::all_of(cues.begin(), cues.end(), [](const Cue& cue) { return cue.words.empty(); });
  if (!have_none) return;
  size_t at = 0;
  for (const TimedWord& word : words) {
    const double middle_s = (word.start_s + word.end_s) / 2;
    while (at < cues.size() && cues[at].end_s <= middle_s) ++at;
    if (at < cues.size() && cues[at].start_s <= middle_s) cues[at].words.push_back(word);
  }
}

const Json& list_of(const Json& json, const char* key, const fs::path& file) {
  const Json& list = json.is_array() ? json : json[key];
  if (!list.is_array()) throw not_a_transcript(file);
  return list;
}

}  // namespace

std::vector<Cue> parse_whisper_json(const std::string& text, const std::filesystem::path& name_in_errors) {
  const Json json = parse_json(utf8_text(text, name_in_errors), name_in_errors);
  const bool of_cpp = json.is_object() && json.contains("transcription");
  if (!json.is_array() && !of_cpp && !(json.is_object() && json.contains("segments"))) throw not_a_transcript(name_in_errors);
  std::vector<Cue> cues;
  int64_t number = 0;
  for (const Json& segment : list_of(json, of_cpp ? "transcription" : "segments", name_in_errors)) {
    const std::string name = fmt::format("segment {}", ++number);
    if (!segment.is_object())
      throw DataError("{} is no object", name).where(name_in_errors).hint("write it with start, end and text");
    Cue cue;
    try {
      cue = of_cpp ? segment_of_whisper_cpp(segment, name_in_errors) : segment_of_whisper(segment, name_in_errors);
    } catch (const Error& error) {
      throw DataError("{}: {}", name, error.message()).where(name_in_errors).hint(error.next_step());
    }
    if (!cue.text.empty()) add_cue(cues, std::move(cue), name_in_errors, name);
  }
  for (const char* key : {"words", "word_segments"})
    if (json.is_object() && json.contains(key)) give_words(cues, words_of(json[key], name_in_errors));
  return cues;
}

}  // namespace microemo::text
