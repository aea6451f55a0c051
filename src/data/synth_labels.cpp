#include "microemo/data/synth_labels.h"

#include <algorithm>

#include "microemo/base/error.h"

namespace microemo::data {
namespace {

using Groups = std::vector<std::string>;

/// One row of the table: what a movement means with these words, spoken flat and spoken lively.
struct Row {
  Sentiment sentiment;
  FaceUnit unit;
  Groups flat, lively;
};

// Written so that each factor matters: a row holds other groups than its neighbours, and in about half of the rows the voice
// changes the label.
const std::vector<Row>& table() {
  using enum Sentiment;
  using enum FaceUnit;
  static const std::vector<Row> rows{
      {positive, none, {"content"}, {"content"}},
      {positive, brow_up, {"amazed", "curious"}, {"amazed", "curious"}},
      {positive, brow_down, {"doubtful"}, {"curious"}},
      {positive, lip_up, {"joyful"}, {"excited"}},
      {positive, lip_down, {"disappointed"}, {"disappointed"}},
      {positive, lid, {"suspicious"}, {"hopeful"}},
      {positive, nose, {"contemptuous"}, {"ironic"}},
      {negative, none, {"sad"}, {"sad"}},
      {negative, brow_up, {"afraid"}, {"shocked"}},
      {negative, brow_down, {"annoyed"}, {"angry"}},
      {negative, lip_up, {"ironic"}, {"ironic"}},
      {negative, lip_down, {"sad", "tired"}, {"disappointed", "angry"}},
      {negative, lid, {"nervous"}, {"nervous", "angry"}},
      {negative, nose, {"disgusted"}, {"disgusted"}},
      {neutral, none, {"calm"}, {"calm"}},
      {neutral, brow_up, {"curious"}, {"amazed"}},
      {neutral, brow_down, {"confused"}, {"confused"}},
      {neutral, lip_up, {"relieved"}, {"amused"}},
      {neutral, lip_down, {"bored"}, {"bored"}},
      {neutral, lid, {"tired"}, {"suspicious"}},
      {neutral, nose, {"annoyed"}, {"annoyed", "contemptuous"}},
  };
  return rows;
}

const Row& row_of(Sentiment sentiment, FaceUnit unit) {
  const auto found =
      std::ranges::find_if(table(), [&](const Row& row) { return row.sentiment == sentiment && row.unit == unit; });
  MICROEMO_CHECK(found != table().end(), "no label for {} words with {}", name_of(sentiment), name_of(unit));
  return *found;
}

/// Chances of each set of groups (as positions in label_groups) in one state of knowledge.
using Outcomes = std::map<std::vector<int>, double>;

int group_index(const std::string& name) {
  const auto& groups = label_groups();
  const auto found = std::ranges::find(groups, name, &LabelGroup::name);
  MICROEMO_CHECK(found != groups.end(), "label group {} is not declared", name);
  return int(found - groups.begin());
}

double expected_f(const std::vector<int>& answer, const Outcomes& outcomes) {
  double sum = 0;
  for (const auto& [truth, probability] : outcomes) {
    int hits = 0;
    for (int group : answer) hits += int(std::ranges::count(truth, group));
    sum += probability * 2.0 * hits / double(answer.size() + truth.size());
  }
  return sum;
}

double best_extension(std::vector<int>& answer, const std::vector<int>& candidates, size_t first, const Outcomes& outcomes) {
  double best = answer.empty() ? 0.0 : expected_f(answer, outcomes);
  if (answer.size() == 4) return best;
  for (size_t i = first; i < candidates.size(); ++i) {
    answer.push_back(candidates[i]);
    best = std::max(best, best_extension(answer, candidates, i + 1, outcomes));
    answer.pop_back();
  }
  return best;
}

double best_expected_f(const Outcomes& outcomes) {
  std::vector<int> candidates, answer;
  for (const auto& [truth, probability] : outcomes)
    for (int group : truth)
      if (std::ranges::count(candidates, group) == 0) candidates.push_back(group);
  return best_extension(answer, candidates, 0, outcomes);
}

}  // namespace

const char* name_of(Sentiment sentiment) {
  constexpr std::array names{"positive", "negative", "neutral"};
  return names.at(size_t(sentiment));
}

const char* name_of(FaceUnit unit) {
  constexpr std::array names{"none", "brow_up", "brow_down", "lip_up", "lip_down", "lid", "nose"};
  return names.at(size_t(unit));
}

const char* name_of(Manner manner) { return manner == Manner::flat ? "flat" : "lively"; }

const std::vector<LabelGroup>& label_groups() {
  static const std::vector<LabelGroup> groups{
      {"joyful", {"joyful", "happy", "delighted"}},
      {"content", {"content", "satisfied", "pleased"}},
      {"amused", {"amused", "entertained"}},
      {"amazed", {"amazed", "astonished", "surprised"}},
      {"excited", {"excited", "thrilled"}},
      {"relieved", {"relieved", "reassured"}},
      {"calm", {"calm", "relaxed"}},
      {"hopeful", {"hopeful", "optimistic"}},
      {"curious", {"curious", "interested", "intrigued"}},
      {"doubtful", {"doubtful", "skeptical", "unsure"}},
      {"confused", {"confused", "puzzled"}},
      {"suspicious", {"suspicious", "wary"}},
      {"nervous", {"nervous", "anxious", "worried", "tense"}},
      {"afraid", {"afraid", "scared", "frightened"}},
      {"shocked", {"shocked", "horrified"}},
      {"sad", {"sad", "sorrowful", "unhappy"}},
      {"disappointed", {"disappointed", "disillusioned"}},
      {"bored", {"bored", "indifferent"}},
      {"tired", {"tired", "weary"}},
      {"angry", {"angry", "furious"}},
      {"annoyed", {"annoyed", "irritated"}},
      {"disgusted", {"disgusted", "repulsed"}},
      {"contemptuous", {"contemptuous", "scornful"}},
      {"ironic", {"ironic", "mocking", "sarcastic"}},
  };
  return groups;
}

const std::vector<std::string>& groups_of(const Factors& factors) {
  const Row& row = row_of(factors.sentiment, factors.unit);
  return factors.manner == Manner::flat ? row.flat : row.lively;
}

double probability_of(FaceUnit unit, double none_probability) {
  return unit == FaceUnit::none ? none_probability : (1.0 - none_probability) / double(all_units.size() - 1);
}

double score_ceiling(const Knowledge& knowledge, double none_probability) {
  std::map<std::array<int, 3>, Outcomes> states;  // what is not known is 0 in the key
  for (Sentiment sentiment : all_sentiments)
    for (FaceUnit unit : all_units)
      for (Manner manner : all_manners) {
        std::vector<int> truth;
        for (const std::string& name : groups_of({sentiment, unit, manner})) truth.push_back(group_index(name));
        std::ranges::sort(truth);
        const std::array state{knowledge.words ? int(sentiment) : 0, knowledge.face ? int(unit) : 0,
                               knowledge.voice ? int(manner) : 0};
        states[state][truth] += probability_of(unit, none_probability) / double(all_sentiments.size() * all_manners.size());
      }
  double sum = 0;
  for (const auto& [state, outcomes] : states) sum += best_expected_f(outcomes);
  return sum;
}

std::vector<std::pair<std::string, double>> score_ceilings(double none_probability) {
  const std::vector<std::pair<std::string, Knowledge>> states{
      {"nothing", {}},
      {"words", {.words = true}},
      {"voice", {.voice = true}},
      {"face", {.face = true}},
      {"words+voice", {.words = true, .voice = true}},
      {"face+voice", {.face = true, .voice = true}},
      {"words+face", {.words = true, .face = true}},
      {"all", {.words = true, .face = true, .voice = true}},
  };
  std::vector<std::pair<std::string, double>> ceilings;
  for (const auto& [name, knowledge] : states) ceilings.emplace_back(name, score_ceiling(knowledge, none_probability));
  return ceilings;
}

}  // namespace microemo::data
