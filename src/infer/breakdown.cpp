#include <array>
#include <cmath>
#include <limits>

#include "microemo/base/error.h"
#include "microemo/eval/headline.h"
#include "microemo/eval/labels.h"
#include "microemo/eval/scores.h"
#include "microemo/infer/evaluate.h"

namespace microemo::infer {
namespace {

constexpr std::array clue_channels{"words", "voice", "face"};

/// The clauses before an answer's colon; none without a colon.
std::vector<std::string> clues_of(const std::string& answer) {
  std::vector<std::string> clues;
  const size_t colon = answer.find(':');
  if (colon == std::string::npos) return clues;
  for (size_t from = 0; from <= colon;) {
    const size_t comma = std::min(answer.find(',', from), colon);
    clues.push_back(eval::normalise_label(answer.substr(from, comma - from)));
    from = comma + 1;
  }
  return clues;
}

/// Sums of one class, divided at the end.
struct Tally {
  int64_t pairs = 0, scored = 0, with_clues = 0, right = 0;
  double f = 0;
};

struct Utterance {
  const data::Clip& clip;
  const data::Utterance& truth;
  const AnswerRecord& answer;
};

void add_pair(Tally& tally, const std::optional<double>& f) {
  ++tally.pairs;
  if (!f) return;
  ++tally.scored;
  tally.f += *f;
}

void add_utterance(std::map<std::string, std::map<std::string, Tally>>& tallies, const Utterance& utterance,
                   const eval::EmotionWheel& wheel) {
  const std::optional<double> f =
      eval::headline_f({"", "", utterance.truth.labels, eval::extract_labels(utterance.answer.answer)}, wheel);
  const std::array classes{utterance.truth.words, utterance.truth.voice, utterance.truth.face};
  const std::vector<std::string> named = clues_of(utterance.answer.answer), meant = clues_of(utterance.truth.answer);
  for (size_t channel = 0; channel < clue_channels.size(); ++channel) {
    if (classes[channel].empty()) continue;
    Tally& tally = tallies[clue_channels[channel]][classes[channel]];
    add_pair(tally, f);
    if (meant.size() != clue_channels.size()) continue;
    ++tally.with_clues;
    tally.right += named.size() == clue_channels.size() && named[channel] == meant[channel];
  }
  if (!utterance.clip.identity.empty()) add_pair(tallies["identity"][utterance.clip.identity], f);
}

ClassScore finish(const Tally& tally) {
  ClassScore score;
  score.pairs = tally.pairs;
  score.pair_f = tally.scored > 0 ? tally.f / double(tally.scored) : std::numeric_limits<double>::quiet_NaN();
  if (tally.with_clues > 0) score.accuracy = double(tally.right) / double(tally.with_clues);
  return score;
}

}  // namespace

Breakdown break_down(const std::vector<data::Clip>& clips, const std::vector<AnswerRecord>& answers,
                     const eval::EmotionWheel& wheel) {
  std::map<std::string, const data::Clip*> by_id;
  for (const data::Clip& clip : clips) by_id[clip.id] = &clip;
  std::map<std::string, std::map<std::string, Tally>> tallies;
  for (const AnswerRecord& answer : answers) {
    const auto found = by_id.find(answer.clip);
    MICROEMO_CHECK(found != by_id.end(), "an answer about clip '{}', which is not in the manifest", answer.clip);
    const data::Clip& clip = *found->second;
    add_utterance(tallies, {clip, clip.utterances.at(size_t(answer.utterance)), answer}, wheel);
  }
  Breakdown breakdown;
  for (const auto& [channel, classes] : tallies)
    for (const auto& [name, tally] : classes) breakdown[channel][name] = finish(tally);
  return breakdown;
}

Json to_json(const Breakdown& breakdown) {
  Json channels = Json::object();
  for (const auto& [channel, classes] : breakdown) {
    double right = 0;
    int64_t pairs = 0, with_clues = 0;
    Json by_class = Json::object();
    for (const auto& [name, score] : classes) {
      by_class[name] = {{"pairs", score.pairs}, {"pair_f", score.pair_f}};
      if (score.accuracy) by_class[name]["accuracy"] = *score.accuracy;
      pairs += score.pairs;
      if (score.accuracy) with_clues += score.pairs, right += *score.accuracy * double(score.pairs);
    }
    channels[channel] = {{"pairs", pairs}};
    if (with_clues > 0) channels[channel]["accuracy"] = right / double(with_clues);
    channels[channel]["classes"] = by_class;
  }
  return channels;
}

}  // namespace microemo::infer
