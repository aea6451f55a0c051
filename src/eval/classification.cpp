#include "microemo/eval/classification.h"

#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

#include "microemo/base/error.h"
#include "microemo/eval/labels.h"
#include "text.h"

namespace microemo::eval {
namespace {

constexpr double none = std::numeric_limits<double>::quiet_NaN();

double ratio(int64_t part, int64_t whole) { return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole); }

void check_one_label(const LabelTable& truths) {
  std::vector<std::string> wrong;
  for (size_t item = 0; item < truths.size(); ++item)
    if (truths.labels_of(item).size() != 1) wrong.emplace_back(truths.id(item));
  if (wrong.empty()) return;
  throw DataError("{} of {} truths have not exactly one label: {}", wrong.size(), truths.size(), list_ids(wrong))
      .where(truths.path)
      .hint("war, uar, waf and the sentiment metrics compare single labels; ew and hit take sets");
}

/// The valence of a text; nothing when it has none.
std::optional<double> valence_of(std::string_view text) {
  text = strip(text);
  if (text == "positive") return 1;
  if (text == "negative") return -1;
  if (text == "neutral") return 0;
  double value = 0;
  const char* start = text.data() + (text.starts_with('+') ? 1 : 0);
  const auto [end, problem] = std::from_chars(start, text.data() + text.size(), value);
  const bool whole = problem == std::errc() && end == text.data() + text.size() && std::isfinite(value);
  return whole ? std::optional(value) : std::nullopt;
}

/// The number of every spelled label, and of every word its label's.
struct Spellings {
  std::map<std::string, int32_t> numbers;
  std::vector<int32_t> of_word;
};

Spellings spell_truths(const LabelTable& truths, const Vocabulary& words) {
  Spellings spellings;
  for (const uint32_t word : truths.labels) spellings.numbers[normalise_label(words.text(word))] = 0;
  int32_t next = 0;
  for (auto& [label, number] : spellings.numbers) number = next++;
  for (uint32_t word = 0; word < words.size(); ++word) {
    const auto found = spellings.numbers.find(normalise_label(words.text(word)));
    spellings.of_word.push_back(found == spellings.numbers.end() ? -1 : found->second);
  }
  return spellings;
}

}  // namespace

ClassPairs pair_classes(const LabelTable& predictions, const LabelTable& truths, const TableMatch& match,
                        const Vocabulary& words) {
  check_one_label(truths);
  const Spellings spellings = spell_truths(truths, words);
  ClassPairs pairs;
  for (const auto& [label, number] : spellings.numbers) pairs.classes.push_back(label);
  for (size_t item = 0; item < truths.size(); ++item) {
    const auto predicted = predictions.labels_of(match.prediction_of[item]);
    pairs.without_label += predicted.empty();
    pairs.several_labels += predicted.size() > 1;
    pairs.truth.push_back(spellings.of_word[truths.labels_of(item)[0]]);
    pairs.predicted.push_back(predicted.empty() ? -1 : spellings.of_word[predicted[0]]);
    if (!predicted.empty() && pairs.predicted.back() < 0) ++pairs.unknown[normalise_label(words.text(predicted[0]))];
  }
  return pairs;
}

ClassPairs pair_sentiment(const LabelTable& predictions, const LabelTable& truths, const TableMatch& match,
                          const Vocabulary& words) {
  check_one_label(truths);
  ClassPairs pairs;
  pairs.classes = {"not positive", "positive"};
  for (size_t item = 0; item < truths.size(); ++item) {
    const std::string& text = words.text(truths.labels_of(item)[0]);
    const auto valence = valence_of(text);
    if (!valence)
      throw DataError("'{}' is neither a number nor positive, negative or neutral", text)
          .where(truths.path, truths.lines[item])
          .hint("the truth of a sentiment is a valence such as -0.4");
    const auto predicted = predictions.labels_of(match.prediction_of[item]);
    pairs.without_label += predicted.empty();
    pairs.several_labels += predicted.size() > 1;
    for (const uint32_t word : predicted)
      if (const std::string& said = words.text(word); said != "positive" && said != "negative" && said != "neutral")
        ++pairs.unknown[said];
    const bool positive = predicted.size() == 1 && words.text(predicted[0]) == "positive";
    pairs.truth.push_back(*valence == 0 ? -1 : *valence > 0 ? 1 : 0);
    pairs.predicted.push_back(*valence == 0 ? -1 : positive ? 1 : 0);
  }
  return pairs;
}

std::vector<ClassScore> score_classes(const ClassPairs& pairs) {
  std::vector<ClassScore> scores(pairs.classes.size());
  for (size_t item = 0; item < pairs.truth.size(); ++item) {
    const int32_t truth = pairs.truth[item], predicted = pairs.predicted[item];
    if (truth < 0) continue;
    ++scores[static_cast<size_t>(truth)].support;
    if (predicted >= 0) ++scores[static_cast<size_t>(predicted)].predicted;
    if (predicted == truth) ++scores[static_cast<size_t>(truth)].right;
  }
  for (ClassScore& score : scores) {
    score.precision = ratio(score.right, score.predicted);
    score.recall = ratio(score.right, score.support);
    score.f = ratio(2 * score.right, score.support + score.predicted);
  }
  return scores;
}

ClassMeans mean_classes(std::span<const ClassScore> scores) {
  ClassMeans means;
  int64_t right = 0, classes = 0;
  double recalls = 0, weighted = 0;
  for (const ClassScore& score : scores) {
    if (score.support == 0) continue;
    ++classes;
    means.n += score.support;
    right += score.right;
    recalls += score.recall;
    weighted += score.f * static_cast<double>(score.support);
  }
  if (means.n == 0) return {0, none, none, none};
  means.war = ratio(right, means.n);
  means.uar = recalls / static_cast<double>(classes);
  means.waf = weighted / static_cast<double>(means.n);
  return means;
}

std::vector<std::vector<int64_t>> confusion_of(const ClassPairs& pairs) {
  const size_t count = pairs.classes.size();
  std::vector<std::vector<int64_t>> confusion(count, std::vector<int64_t>(count + 1));
  for (size_t item = 0; item < pairs.truth.size(); ++item)
    if (pairs.truth[item] >= 0)
      ++confusion[static_cast<size_t>(pairs.truth[item])]
                 [pairs.predicted[item] < 0 ? count : static_cast<size_t>(pairs.predicted[item])];
  return confusion;
}

}  // namespace microemo::eval
