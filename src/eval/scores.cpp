#include "microemo/eval/scores.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "microemo/base/error.h"
#include "microemo/eval/labels.h"
#include "text.h"

namespace microemo::eval {
namespace {

using Classes = std::set<std::string>;

constexpr double none = std::numeric_limits<double>::quiet_NaN();

size_t shared(const Classes& a, const Classes& b) {
  return static_cast<size_t>(std::ranges::count_if(a, [&](const std::string& member) { return b.contains(member); }));
}

double ratio(size_t part, size_t whole) { return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole); }

double mean(double sum, int64_t count) { return count == 0 ? none : sum / static_cast<double>(count); }

/// F1 of one of two classes; `wrong` counts the items of either class that were taken for the other.
double f1(int64_t right, int64_t wrong) {
  return right == 0 ? 0 : 2.0 * static_cast<double>(right) / static_cast<double>(2 * right + wrong);
}

/// The pieces between separators, as they stand; those that are nothing but blanks and a comma go.
std::vector<std::string_view> cut(std::string_view text, std::string_view separators) {
  std::vector<std::string_view> pieces;
  for (size_t start = 0; start <= text.size();) {
    const size_t end = std::min(text.find_first_of(separators, start), text.size());
    const std::string_view piece = text.substr(start, end - start);
    if (const std::string_view bare = strip(piece); !bare.empty() && bare != ",") pieces.push_back(piece);
    start = end + 1;
  }
  return pieces;
}

Classes cached_classes(const std::vector<std::string>& labels, const std::unordered_map<std::string, std::string>& groups) {
  Classes classes;
  for (const std::string& label : labels) {
    const std::string word = normalise_label(label);
    const auto found = groups.find(word);
    classes.insert(found == groups.end() ? word : found->second);
  }
  return classes;
}

}  // namespace

std::optional<PairScore> score_pair(const LabelPair& pair, const Grouping& grouping) {
  PairScore score{classes_of(pair.truth, grouping), classes_of(pair.predicted, grouping)};
  if (score.truth.empty()) return std::nullopt;
  const size_t hits = shared(score.truth, score.predicted);
  score.precision = ratio(hits, score.predicted.size());
  score.recall = ratio(hits, score.truth.size());
  score.f = ratio(2 * hits, score.truth.size() + score.predicted.size());
  return score;
}

SetScore average(const std::vector<std::optional<PairScore>>& scores, const std::vector<size_t>& positions) {
  SetScore total;
  for (const size_t at : positions) {
    if (!scores[at]) continue;
    ++total.pairs;
    total.precision += scores[at]->precision;
    total.recall += scores[at]->recall;
    total.pair_f += scores[at]->f;
  }
  for (double* sum : {&total.precision, &total.recall, &total.pair_f}) *sum = mean(*sum, total.pairs);
  const double both = total.precision + total.recall;
  total.f = both == 0 ? 0 : 2 * total.precision * total.recall / both;
  return total;
}

SetScore score_sets(const std::vector<LabelPair>& pairs, const Grouping& grouping) {
  std::vector<std::optional<PairScore>> scores;
  for (const LabelPair& pair : pairs) scores.push_back(score_pair(pair, grouping));
  std::vector<size_t> all(pairs.size());
  std::iota(all.begin(), all.end(), size_t{0});
  return average(scores, all);
}

HitScore score_hits(const std::vector<LabelPair>& pairs, const Grouping& grouping) {
  Classes all;
  for (const LabelPair& pair : pairs) all.merge(classes_of(pair.truth, grouping));
  HitScore total;
  for (const LabelPair& pair : pairs) {
    const auto score = score_pair(pair, grouping);
    if (!score) continue;
    const size_t hits = shared(score->truth, score->predicted);
    ++total.pairs;
    total.hit += static_cast<double>(hits);
    total.mscore += ratio(hits, shared(score->predicted, all));
  }
  total.hit = mean(total.hit, total.pairs);
  total.mscore = mean(total.mscore, total.pairs);
  return total;
}

SentimentScore score_sentiment(const std::vector<double>& truth, const std::vector<std::string>& predicted) {
  MICROEMO_CHECK(truth.size() == predicted.size(), "{} truths and {} predictions", truth.size(), predicted.size());
  int64_t counts[2][2] = {};  // [truth is positive][prediction is positive]
  for (size_t i = 0; i < truth.size(); ++i)
    if (truth[i] != 0) ++counts[truth[i] > 0][predicted[i] == "positive"];
  const int64_t wrong = counts[0][1] + counts[1][0], right = counts[0][0] + counts[1][1], items = right + wrong;
  const double negatives = static_cast<double>(counts[0][0] + counts[0][1]),
               positives = static_cast<double>(counts[1][0] + counts[1][1]);
  return {items, mean(static_cast<double>(right), items),
          mean(negatives * f1(counts[0][0], wrong) + positives * f1(counts[1][1], wrong), items)};
}

std::unordered_map<std::string, std::string> parse_cached_groups(std::string_view text) {
  std::unordered_map<std::string, std::string> groups;
  for (const std::string_view group : cut(text, "[]")) {
    const std::vector<std::string_view> members = cut(group, "'\"");
    for (const std::string_view member : members) groups[std::string(member)] = members.front();
  }
  return groups;
}

CachedScore score_cached_groups(const std::vector<LabelPair>& pairs, const std::map<std::string, std::string>& groups) {
  CachedScore total;
  for (const LabelPair& pair : pairs) {
    const auto text = groups.find(pair.id);
    if (text == groups.end()) throw DataError("there are no cached groups for '{}'", pair.id);
    const auto grouping = parse_cached_groups(text->second);
    const Classes truth = cached_classes(pair.truth, grouping), predicted = cached_classes(pair.predicted, grouping);
    if (truth.empty() && !predicted.empty()) throw DataError("the truth of '{}' is empty, its prediction is not", pair.id);
    ++total.pairs;
    total.accuracy += ratio(shared(truth, predicted), predicted.size());
    total.recall += ratio(shared(truth, predicted), truth.size());
  }
  total.accuracy = mean(total.accuracy, total.pairs);
  total.recall = mean(total.recall, total.pairs);
  total.average = (total.accuracy + total.recall) / 2;
  return total;
}

}  // namespace microemo::eval
