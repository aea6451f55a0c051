#include <algorithm>
#include <array>

#include "microemo/base/error.h"
#include "microemo/text/transcript.h"
#include "transcript_lines.h"
#include "utf8.h"

// WebVTT, W3C Candidate Recommendation of 2019, section 6.
namespace microemo::text {
namespace {

struct Times {
  double start_s = 0, end_s = 0;
};

std::optional<Times> read_times(const std::string& text) {
  Scanner scanner{text};
  const auto start = read_time(scanner, true);
  scanner.skip(blanks);
  if (!start || !scanner.take('-') || !scanner.take('-') || !scanner.take('>')) return std::nullopt;
  scanner.skip(blanks);
  const auto end = read_time(scanner, true);
  // Settings such as "align:start" follow behind a blank.
  if (!end || (!scanner.rest.empty() && scanner.skip(blanks) == 0)) return std::nullopt;
  return Times{*start, *end};
}

std::string with_characters(std::string text) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 6> entities{
      {{"&lt;", "<"}, {"&gt;", ">"}, {"&nbsp;", " "}, {"&lrm;", ""}, {"&rlm;", ""}, {"&amp;", "&"}}};
  if (text.find('&') == std::string::npos) return text;
  for (const auto& [name, character] : entities) text = replaced(text, name, character);
  return text;
}

/// The name in <v NAME> or <v.class NAME>.
std::string voice_of(std::string_view text) {
  for (size_t at = text.find("<v"); at != std::string_view::npos; at = text.find("<v", at + 1)) {
    const std::string_view rest = text.substr(at + 2);
    const size_t blank = rest.find_first_of(blanks), end = rest.find_first_of("<>");
    if (end == std::string_view::npos || rest[end] != '>' || blank > end || (blank > 0 && rest[0] != '.')) continue;
    return with_characters(trimmed(std::string(rest.substr(blank, end - blank))));
  }
  return {};
}

/// Where the next <00:00:01.000> begins and ends, and its time.
struct TimeTag {
  size_t begin = std::string_view::npos, end = std::string_view::npos;
  double seconds = 0;
};

TimeTag next_time_tag(std::string_view text, size_t from) {
  for (size_t at = text.find('<', from); at != std::string_view::npos; at = text.find('<', at + 1)) {
    Scanner scanner{text.substr(at + 1)};
    const auto time = read_time(scanner, true);
    if (time && scanner.take('>')) return {at, text.size() - scanner.rest.size(), *time};
  }
  return {};
}

/// Words of a cue whose text has times in it: each stretch between two times is one. Those that go backwards or leave the cue are
/// display effects of another cue's text and make none.
std::vector<TimedWord> timed_words(const Cue& cue, std::string_view text) {
  std::vector<TimedWord> words;
  double start_s = cue.start_s;
  TimeTag tag = next_time_tag(text, 0);
  if (tag.begin == std::string_view::npos) return words;
  for (size_t from = 0; from < text.size();) {
    const size_t to = std::min(tag.begin, text.size());
    const double end_s = tag.begin == std::string_view::npos ? cue.end_s : tag.seconds;
    if (end_s < start_s || end_s > cue.end_s) return {};
    const std::string word = with_characters(without_tags(text.substr(from, to - from)));
    if (!word.empty() && end_s > start_s) words.push_back({start_s, end_s, word});
    start_s = end_s;
    from = std::min(tag.end, text.size());
    tag = next_time_tag(text, from);
  }
  return words;
}

class Reader {
 public:
  Reader(const std::vector<Line>& lines, const std::filesystem::path& file) : lines_(lines), file_(file) {}

  std::vector<Cue> read() {
    if (!is_header(lines_[0].text))
      throw DataError("the file does not start with WEBVTT")
          .where(file_, 1)
          .hint("write WEBVTT into its first line, or name it .srt if it is SubRip");
    skip_block();
    while (skip_empty()) read_block();
    return std::move(cues_);
  }

 private:
  static bool is_header(const std::string& text) {
    return text == "WEBVTT" || text.starts_with("WEBVTT ") || text.starts_with("WEBVTT\t");
  }
  bool has_line() const { return at_ < lines_.size() && !lines_[at_].text.empty(); }
  void skip_block() {
    while (has_line()) ++at_;
  }
  bool skip_empty() {
    while (at_ < lines_.size() && lines_[at_].text.empty()) ++at_;
    return at_ < lines_.size();
  }
  void read_block();
  void read_cue(const Line& times_line);

  const std::vector<Line>& lines_;
  const std::filesystem::path& file_;
  size_t at_ = 0;
  std::vector<Cue> cues_;
};

void Reader::read_block() {
  const Line& first = lines_[at_];
  if (is_time_line(first.text)) {
    ++at_;
    return read_cue(first);
  }
  const bool names_cue = at_ + 1 < lines_.size() && is_time_line(lines_[at_ + 1].text);
  if (names_cue) {
    at_ += 2;
    return read_cue(lines_[at_ - 1]);
  }
  const auto begins_with = [&](std::string_view word) {
    return first.text == word || first.text.starts_with(std::string(word) + ' ') ||
           first.text.starts_with(std::string(word) + '\t');
  };
  if (begins_with("NOTE") || begins_with("STYLE") || begins_with("REGION")) return skip_block();
  throw DataError("expected the times of a cue, found \"{}\"", shown(first.text))
      .where(file_, first.number)
      .hint("every cue starts with a line such as 00:00:01.500 --> 00:00:03.250; its text has no empty line in it");
}

void Reader::read_cue(const Line& times_line) {
  const auto times = read_times(times_line.text);
  if (!times)
    throw DataError("cannot read the times \"{}\"", shown(times_line.text))
        .where(file_, times_line.number)
        .hint("write them as 00:00:01.500 --> 00:00:03.250");
  std::string text;
  for (; has_line() && !is_time_line(lines_[at_].text); ++at_) append_text(text, lines_[at_].text);
  Cue cue{times->start_s, times->end_s, with_characters(without_tags(text)), times_line.number, voice_of(text)};
  cue.words = timed_words(cue, text);
  add_cue(cues_, std::move(cue), file_);
}

}  // namespace

std::vector<Cue> parse_vtt(const std::string& text, const std::filesystem::path& name_in_errors) {
  return Reader(split_lines(text, name_in_errors), name_in_errors).read();
}

}  // namespace microemo::text
