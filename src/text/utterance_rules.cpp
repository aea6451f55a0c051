#include "microemo/text/utterance_rules.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <tuple>

#include "microemo/base/error.h"
#include "transcript_lines.h"

namespace microemo::text {
namespace {

/// Utterances may touch; times that went through decimal text may differ in their last bits.
constexpr double touching_s = 1e-6;

void check_rules(const UtteranceRules& rules) {
  for (const auto& [value, name] : {std::pair{rules.merge_gap_s, "merge_gap_s"},
                                    {rules.longest_s, "longest_s"},
                                    {rules.shortest_s, "shortest_s"},
                                    {rules.pad_s, "pad_s"},
                                    {double(rules.most), "most"}})
    if (!std::isfinite(value) || value < 0)
      throw ConfigError("the rule {} of the utterances is {}", name, value).hint("give a number from 0 on");
}

void join(Cue& first, Cue& second) {
  first.end_s = std::max(first.end_s, second.end_s);
  append_text(first.text, second.text);
  if (first.speaker != second.speaker) first.speaker.clear();
  // Words without times would be lost in a part that has some.
  const bool timed = (first.text.empty() || !first.words.empty()) && (second.text.empty() || !second.words.empty());
  if (timed)
    first.words.insert(first.words.end(), second.words.begin(), second.words.end());
  else
    first.words.clear();
}

std::vector<Cue> without_overlap(std::vector<Cue> cues, Overlap overlap, const std::filesystem::path& file) {
  std::vector<Cue> apart;
  for (Cue& cue : cues) {
    if (apart.empty() || cue.start_s >= apart.back().end_s - touching_s) {
      apart.push_back(std::move(cue));
      continue;
    }
    Cue& before = apart.back();
    if (overlap == Overlap::refuse)
      throw DataError("the cue starts at {:.3f} s, before the one above it ends ({:.3f} s)", cue.start_s, before.end_s)
          .where(file, cue.line)
          .hint("utterances must not overlap: cut one of the two, or let --overlap cut or merge do it");
    if (overlap == Overlap::merge || cue.start_s <= before.start_s + touching_s) {
      join(before, cue);
    } else {
      before.end_s = cue.start_s;
      apart.push_back(std::move(cue));
    }
  }
  return apart;
}

bool fits(const Cue& first, const Cue& second, const UtteranceRules& rules) {
  return rules.longest_s == 0 || second.end_s - first.start_s <= rules.longest_s;
}

std::vector<Cue> with_near_ones_merged(std::vector<Cue> cues, const UtteranceRules& rules) {
  if (rules.merge_gap_s == 0) return cues;
  std::vector<Cue> merged;
  for (Cue& cue : cues) {
    const bool near = !merged.empty() && cue.start_s - merged.back().end_s < rules.merge_gap_s &&
                      merged.back().speaker == cue.speaker && fits(merged.back(), cue, rules);
    if (near)
      join(merged.back(), cue);
    else
      merged.push_back(std::move(cue));
  }
  return merged;
}

double length_s(const Cue& cue) { return cue.end_s - cue.start_s; }

/// Whether a cue between two others is nearer to the first, or as near and the first is the shorter.
bool is_nearer_to_first(const Cue& first, const Cue& cue, const Cue& second) {
  const double before_s = cue.start_s - first.end_s, after_s = second.start_s - cue.end_s;
  return std::abs(before_s - after_s) <= touching_s ? length_s(first) <= length_s(second) : before_s < after_s;
}

/// Short ones join a neighbour; from left to right, each once.
std::vector<Cue> with_short_ones_merged(std::vector<Cue> cues, const UtteranceRules& rules) {
  std::vector<Cue> merged;
  for (size_t i = 0; i < cues.size(); ++i) {
    Cue& cue = cues[i];
    const bool is_short = length_s(cue) < rules.shortest_s;
    const bool has_after = is_short && i + 1 < cues.size() && fits(cue, cues[i + 1], rules);
    const bool has_before = is_short && !merged.empty() && fits(merged.back(), cue, rules);
    if (has_before && (!has_after || is_nearer_to_first(merged.back(), cue, cues[i + 1]))) {
      join(merged.back(), cue);
    } else if (has_after) {
      join(cue, cues[i + 1]);
      std::swap(cue, cues[i + 1]);
    } else {
      merged.push_back(std::move(cue));
    }
  }
  return merged;
}

bool is_blank(char c) { return c == ' '; }

/// Of a Chinese, Japanese or Korean character of three bytes: those stand without blanks.
bool starts_ideograph(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0xE3 && byte <= 0xED;
}

/// Words, and ideographs one by one, with the time of the cue shared out by bytes.
std::vector<TimedWord> words_by_length(const Cue& cue) {
  std::vector<TimedWord> words;
  const double per_byte = (cue.end_s - cue.start_s) / double(std::max<size_t>(cue.text.size(), 1));
  for (size_t begin = 0; begin < cue.text.size();) {
    size_t end = begin + (starts_ideograph(cue.text[begin]) ? 3 : 1);
    const bool whole = end > begin + 1 || is_blank(cue.text[begin]);
    while (!whole && end < cue.text.size() && !is_blank(cue.text[end]) && !starts_ideograph(cue.text[end])) ++end;
    end = std::min(end, cue.text.size());
    if (!is_blank(cue.text[begin]))
      words.push_back(
          {cue.start_s + double(begin) * per_byte, cue.start_s + double(end) * per_byte, cue.text.substr(begin, end - begin)});
    begin = end;
  }
  return words;
}

std::string letters_of(std::string text) {
  std::erase_if(text, is_blank);
  return text;
}

/// Whether the words with times are the whole text: not where a recogniser could not place some of them.
bool has_times_of_all_words(const Cue& cue) {
  std::string letters;
  for (const TimedWord& word : cue.words) letters += letters_of(word.text);
  return letters == letters_of(cue.text);
}

/// Takes a text apart, so many letters at a time, with the blanks between them.
class TextCutter {
 public:
  explicit TextCutter(const std::string& text) : text_(text) {}
  std::string next(size_t letters) {
    const size_t from = at_;
    for (; at_ < text_.size() && letters > 0; ++at_) letters -= !is_blank(text_[at_]);
    return trimmed(text_.substr(from, at_ - from));
  }

 private:
  const std::string& text_;
  size_t at_ = 0;
};

/// Behind which word each of so many parts ends: the nearest to its equal share of the time.
std::vector<size_t> part_ends(const std::vector<TimedWord>& words, const Cue& cue, int64_t parts) {
  std::vector<size_t> ends;
  for (int64_t part = 1; part < parts; ++part) {
    const double wanted_s = cue.start_s + (cue.end_s - cue.start_s) * double(part) / double(parts);
    const auto distance = [&](const TimedWord& word) { return std::abs(word.end_s - wanted_s); };
    size_t best = ends.empty() ? 0 : ends.back() - 1;
    while (best + 1 < words.size() && distance(words[best + 1]) <= distance(words[best])) ++best;
    if (ends.empty() || best + 1 > ends.back()) ends.push_back(best + 1);
  }
  if (ends.empty() || ends.back() < words.size()) ends.push_back(words.size());
  return ends;
}

void split_into(std::vector<Cue>& parts, const Cue& cue, double longest_s) {
  const bool timed = has_times_of_all_words(cue);
  const std::vector<TimedWord> words = timed ? cue.words : words_by_length(cue);
  if (longest_s == 0 || length_s(cue) <= longest_s * (1 + 1e-9) || words.size() < 2) return parts.push_back(cue);
  // No more parts than words, however short they are to be.
  const double wanted = std::min(std::ceil(length_s(cue) / longest_s - 1e-9), double(words.size()));
  TextCutter cutter(cue.text);
  size_t begin = 0;
  double start_s = cue.start_s;
  for (const size_t end : part_ends(words, cue, int64_t(wanted))) {
    const double end_s = end == words.size() ? cue.end_s : std::min(words[end - 1].end_s, cue.end_s);
    if (end_s <= start_s && end < words.size()) continue;
    Cue part{start_s, end_s, {}, cue.line, cue.speaker};
    size_t letters = 0;
    for (size_t i = begin; i < end; ++i) letters += letters_of(words[i].text).size();
    part.text = cutter.next(letters);
    if (timed) part.words.assign(words.begin() + int64_t(begin), words.begin() + int64_t(end));
    if (end_s > start_s)
      parts.push_back(std::move(part));
    else
      join(parts.back(), part);  // the part before it reached the cue's end
    begin = end;
    start_s = end_s;
  }
}

std::vector<Cue> with_long_ones_split(const std::vector<Cue>& cues, double longest_s) {
  std::vector<Cue> parts;
  for (const Cue& cue : cues) split_into(parts, cue, longest_s);
  return parts;
}

/// Merges the nearest neighbours until no more than `most` are left.
class Merger {
 public:
  explicit Merger(std::vector<Cue>& cues) : cues_(cues), next_(cues.size()), before_(cues.size()) {
    for (size_t i = 0; i < cues.size(); ++i) next_[i] = i + 1, before_[i] = i - 1;
    for (size_t i = 0; i + 1 < cues.size(); ++i) queue_.insert(pair_at(i));
  }
  void merge_one() {
    const size_t first = std::get<2>(*queue_.begin()), second = next_[first];
    const bool has_before = first > 0, has_after = next_[second] < cues_.size();
    if (has_before) queue_.erase(pair_at(before_[first]));
    if (has_after) queue_.erase(pair_at(second));
    queue_.erase(queue_.begin());
    join(cues_[first], cues_[second]);
    gone_.insert(second);
    next_[first] = next_[second];
    if (has_after) before_[next_[first]] = first, queue_.insert(pair_at(first));
    if (has_before) queue_.insert(pair_at(before_[first]));
  }
  std::vector<Cue> left() {
    std::vector<Cue> left;
    for (size_t i = 0; i < cues_.size(); ++i)
      if (!gone_.contains(i)) left.push_back(std::move(cues_[i]));
    return left;
  }

 private:
  /// Gap, sum and number of a cue and the one behind it: the smallest are merged first.
  using Pair = std::tuple<double, double, size_t>;
  Pair pair_at(size_t i) const {
    const Cue &first = cues_[i], &second = cues_[next_[i]];
    return {second.start_s - first.end_s, second.end_s - first.start_s, i};
  }
  std::vector<Cue>& cues_;
  std::vector<size_t> next_, before_;
  std::set<Pair> queue_;
  std::set<size_t> gone_;
};

std::vector<Cue> merged_down_to(std::vector<Cue> cues, int64_t most) {
  if (most == 0 || int64_t(cues.size()) <= most) return cues;
  Merger merger(cues);
  for (auto count = int64_t(cues.size()); count > most; --count) merger.merge_one();
  return merger.left();
}

void pad(std::vector<Cue>& cues, double pad_s) {
  for (size_t i = 0; i < cues.size(); ++i) {
    if (i == 0) cues[i].start_s -= std::min(pad_s, cues[i].start_s);
    if (i + 1 == cues.size()) {
      cues[i].end_s += pad_s;
      continue;
    }
    const double half_s = std::min(pad_s, std::max(0.0, (cues[i + 1].start_s - cues[i].end_s) / 2));
    cues[i].end_s += half_s;
    cues[i + 1].start_s -= half_s;
  }
}

}  // namespace

std::vector<Cue> utterances_of(std::vector<Cue> cues, const UtteranceRules& rules, const std::filesystem::path& name_in_errors) {
  check_rules(rules);
  cues = without_overlap(std::move(cues), rules.overlap, name_in_errors);
  cues = with_near_ones_merged(std::move(cues), rules);
  cues = with_long_ones_split(cues, rules.longest_s);
  cues = with_short_ones_merged(std::move(cues), rules);
  cues = merged_down_to(std::move(cues), rules.most);
  pad(cues, rules.pad_s);
  return cues;
}

}  // namespace microemo::text
