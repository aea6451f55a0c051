#include "score_explanations.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <set>

#include <fmt/format.h>

#include "json_text.h"
#include "microemo/base/error.h"
#include "microemo/base/hash.h"
#include "microemo/base/json.h"
#include "microemo/eval/explanation.h"
#include "microemo/eval/label_table.h"
#include "microemo/eval/provenance.h"
#include "microemo/eval/timeline.h"
#include "microemo/report/table.h"
#include "numbers.h"

namespace microemo::cli {
namespace {

eval::EmotionWheel wheel_of(const ScoreTextsWords& words) {
  return eval::load_wheel(words.wheel.empty() ? eval::own_wheel_path() : std::filesystem::path(words.wheel));
}

void print(const Json& json) { std::printf("%s\n", json_text(json).c_str()); }

Json wheel_json(const eval::EmotionWheel& wheel) {
  return {{"name", wheel.name}, {"path", wheel.path.string()}, {"sha256", wheel.hash}};
}

/// Means over the judge's scores; ids have to be those of the references.
Json judge_json(const std::string& file, const std::vector<eval::ExplanationPair>& pairs) {
  if (file.empty()) return nullptr;
  const auto scores = eval::read_judged_scores(file);
  std::vector<std::string> missing;
  double sum = 0;
  for (const eval::ExplanationPair& pair : pairs) {
    if (const auto found = scores.find(pair.id); found != scores.end())
      sum += found->second;
    else
      missing.push_back(pair.id);
  }
  if (!missing.empty())
    throw DataError("{} of {} items have no judged answer: {}", missing.size(), pairs.size(), eval::list_ids(missing))
        .where(file)
        .hint("ask the judge about these items, and add its answers");
  return {{"n", pairs.size()}, {"mean", sum / static_cast<double>(pairs.size())}, {"scale", "1 to 10"}};
}

/// Null where no answer has labels beside it.
Json agreement_json(const std::vector<eval::ExplainedItem>& answers, const eval::EmotionWheel& wheel) {
  std::vector<eval::AgreementItem> items;
  for (const eval::ExplainedItem& answer : answers)
    if (answer.has_labels) items.push_back({answer.text, answer.labels});
  if (items.empty()) return nullptr;
  const eval::Agreement agreement = eval::agree_with_labels(items, wheel.grouping(wheel.headline.front()));
  return {{"n", agreement.n}, {"f", agreement.f}, {"grouping", wheel.headline.front()}, {"wheel", wheel_json(wheel)}};
}

void print_explanations(const Json& json) {
  report::Table table{{"clues", "items", "coverage", "precision"}, {}};
  for (const auto& [channel, score] : json.at("clues").items()) {
    const auto value = [&](const char* key) { return score.at(key).is_null() ? std::nan("") : score.at(key).get<double>(); };
    table.rows.push_back({channel, score.at("n").dump(), number(value("coverage"), 4), number(value("precision"), 4)});
  }
  std::printf("%s\n", report::format_table(table).c_str());
  if (const Json& agreement = json.at("agreement"); !agreement.is_null())
    std::printf("answer against its labels: F %s over %s items\n", agreement.at("f").dump().c_str(),
                agreement.at("n").dump().c_str());
  if (const Json& judge = json.at("judge"); !judge.is_null())
    std::printf("judge: mean %s of 10 over %s items\n", judge.at("mean").dump().c_str(), judge.at("n").dump().c_str());
}

}  // namespace

void score_timeline_files(const ScoreTextsWords& words) {
  const eval::EmotionWheel wheel = wheel_of(words);
  const auto truths = eval::read_timelines(words.truths), predictions = eval::read_timelines(words.predictions);
  Json groupings = Json::array();
  report::Table table{{"grouping", "labelled s", "covered s", "idle s", "precision", "recall", "F"}, {}};
  for (const eval::Grouping& grouping : wheel.groupings) {
    const eval::TimelineScore score = eval::score_timelines(truths.clips, predictions.clips, grouping);
    groupings.push_back({{"name", grouping.name},
                         {"labelled_s", score.labelled_s},
                         {"covered_s", score.covered_s},
                         {"idle_s", score.idle_s},
                         {"precision", score.precision},
                         {"recall", score.recall},
                         {"f", score.f}});
    table.rows.push_back({grouping.name, number(score.labelled_s, 4), number(score.covered_s, 4), number(score.idle_s, 4),
                          number(score.precision, 4), number(score.recall, 4), number(score.f, 4)});
  }
  const eval::Provenance provenance = eval::provenance_of(predictions, truths, &wheel);
  Json json = {{"metric", "precision, recall and F over labelled time"}};
  json.update(eval::to_json(provenance));
  json.update({{"clips", truths.clips.size()}, {"wheel", wheel_json(wheel)}, {"groupings", groupings}});
  if (words.json) return print(json);
  std::printf("wheel   %s (%s)\nfrom    %s\n%s", wheel.name.c_str(), wheel.path.c_str(), eval::to_text(provenance).c_str(),
              report::format_table(table).c_str());
}

void score_explanation_files(const ScoreTextsWords& words) {
  const auto answers = eval::read_explanations(words.predictions);
  const auto references = eval::read_explanations(words.truths);
  const auto pairs = eval::match_explanations(references.items, answers.items);
  Json clues = Json::object();
  for (const eval::Channel channel : eval::all_channels) {
    const eval::ClueCoverage coverage = eval::cover_clues(pairs, channel);
    clues[eval::name_of(channel)] = {{"n", coverage.n}, {"coverage", coverage.coverage}, {"precision", coverage.precision}};
  }
  // Dumped and read again so that numbers that are none are null for the table, too.
  const eval::EmotionWheel wheel = wheel_of(words);
  const eval::Provenance provenance = eval::provenance_of(answers, references, &wheel);
  Json made = {{"metric", "coverage and precision of clues; agreement of texts with their labels; judge"}};
  made.update(eval::to_json(provenance));
  made.update({{"clue_words", eval::clue_words_name},
               {"items", pairs.size()},
               {"clues", clues},
               {"agreement", agreement_json(answers.items, wheel)},
               {"judge", judge_json(words.judge, pairs)}});
  const Json json = Json::parse(json_text(made));
  if (words.json) return print(json);
  std::printf("from    %s\n", eval::to_text(provenance).c_str());
  print_explanations(json);
}

}  // namespace microemo::cli
