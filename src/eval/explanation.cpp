#include "microemo/eval/explanation.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "clue_words.h"
#include "microemo/base/error.h"
#include "microemo/base/json.h"
#include "microemo/eval/labels.h"
#include "microemo/eval/scores.h"
#include "text.h"

namespace microemo::eval {
namespace {

constexpr double none = std::numeric_limits<double>::quiet_NaN();

bool is_ascii(char c) { return static_cast<unsigned char>(c) < 0x80; }

bool is_of_word(char c) { return (c >= 'a' && c <= 'z') || c == '-' || !is_ascii(c); }

/// A word of letters stands alone; Chinese is written without blanks and is looked for anywhere.
bool names(std::string_view text, std::string_view word) {
  const bool whole = is_ascii(word.front());
  for (size_t at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1)) {
    const size_t end = at + word.size();
    const bool alone = (at == 0 || !is_of_word(text[at - 1])) && (end == text.size() || !is_of_word(text[end]));
    if (!whole || alone) return true;
  }
  return false;
}

bool has_quotation(std::string_view text) {
  constexpr std::array<std::array<std::string_view, 2>, 4> marks = {{{"\"", "\""}, {"“", "”"}, {"「", "」"}, {"《", "》"}}};
  return std::ranges::any_of(marks, [&](const auto& mark) {
    const size_t start = text.find(mark[0]);
    return start != std::string_view::npos && text.find(mark[1], start + mark[0].size() + 1) != std::string_view::npos;
  });
}

double mean(double sum, int64_t count) { return count == 0 ? none : sum / static_cast<double>(count); }

}  // namespace

const char* name_of(Channel channel) {
  constexpr const char* channel_names[] = {"visual", "acoustic", "lexical"};
  return channel_names[static_cast<size_t>(channel)];
}

std::set<std::string> clues_in(std::string_view text, Channel channel) {
  const std::string lowered = lower(text);
  std::set<std::string> clues;
  for (const ClueWords& entry : clue_words())
    if (entry.channel == channel && std::ranges::any_of(entry.words, [&](std::string_view word) { return names(lowered, word); }))
      clues.emplace(entry.clue);
  if (channel == Channel::lexical && has_quotation(text)) clues.insert("quotation");
  return clues;
}

ClueCoverage cover_clues(const std::vector<ExplanationPair>& pairs, Channel channel) {
  ClueCoverage total;
  for (const ExplanationPair& pair : pairs) {
    const std::set<std::string> wanted = clues_in(pair.reference, channel), named = clues_in(pair.answer, channel);
    if (wanted.empty()) continue;
    const auto shared =
        static_cast<double>(std::ranges::count_if(wanted, [&](const std::string& clue) { return named.contains(clue); }));
    ++total.n;
    total.coverage += shared / static_cast<double>(wanted.size());
    if (!named.empty()) total.precision += shared / static_cast<double>(named.size());
  }
  total.coverage = mean(total.coverage, total.n);
  total.precision = mean(total.precision, total.n);
  return total;
}

Agreement agree_with_labels(const std::vector<AgreementItem>& items, const Grouping& grouping) {
  Agreement total;
  for (const AgreementItem& item : items)
    if (const auto score = score_pair({"", "", item.labels, extract_labels(item.text)}, grouping)) {
      ++total.n;
      total.f += score->f;
    }
  total.f = mean(total.f, total.n);
  return total;
}

double judged_score(std::string_view answer) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  const auto first = std::ranges::find_if(answer, is_digit);
  if (first == answer.end()) throw DataError("the judge's answer has no number: '{}'", answer.substr(0, 60));
  std::string_view rest = answer.substr(static_cast<size_t>(first - answer.begin()));
  // The public code takes one digit, any number of points, and any number of digits.
  size_t end = 1;
  while (end < rest.size() && rest[end] == '.') ++end;
  while (end < rest.size() && is_digit(rest[end])) ++end;
  const std::string_view number = rest.substr(0, end);
  double value = 0;
  const auto [stop, problem] = std::from_chars(number.data(), number.data() + number.size(), value);
  const bool whole =
      problem == std::errc() &&
      std::ranges::all_of(std::string_view(stop, number.data() + number.size()), [](char c) { return c == '.'; }) &&
      std::ranges::count(number, '.') <= 1;
  if (!whole) throw DataError("the judge's score '{}' is no number", number);
  if (value < 1 || value > 10) throw DataError("the judge's score is {}, and scores are 1 to 10", value);
  return value;
}

std::map<std::string, double> read_judged_scores(const std::filesystem::path& path) {
  std::map<std::string, double> scores;
  read_jsonl(path, [&](const Json& object, int64_t line) {
    const auto id = json_get<std::string>(object, "id", path, line);
    const auto answer = json_get<std::string>(object, "answer", path, line);
    try {
      if (!scores.emplace(id, judged_score(answer)).second) throw DataError("the id '{}' stands a second time", id);
    } catch (Error& mistake) {
      throw mistake.where(path, line).hint("ask the judge again for this item, or remove the line");
    }
  });
  if (scores.empty()) throw DataError("the file holds no judged answers").where(path);
  return scores;
}

}  // namespace microemo::eval
