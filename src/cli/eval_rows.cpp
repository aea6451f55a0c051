#include "eval_rows.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "microemo/base/error.h"
#include "microemo/checkpoint/folder.h"
#include "microemo/eval/provenance.h"
#include "microemo/report/table.h"
#include "numbers.h"

namespace microemo::cli {
namespace {

namespace fs = std::filesystem;

/// F of an evaluation with its interval; NaN where nothing was scored.
struct RowScore {
  double f = std::numeric_limits<double>::quiet_NaN(), low = f, high = f;
  int64_t pairs = 0;
};

RowScore score_of(const EvaluationRow& row) {
  RowScore score;
  if (!row.scores.contains("arms") || row.scores["arms"].empty()) return score;
  const Json& model = row.scores["arms"][0];
  const auto value = [&](const char* key) {
    const Json& of = model["pair_f"][key];
    return of.is_number() ? of.get<double>() : std::numeric_limits<double>::quiet_NaN();
  };
  score.f = value("value");
  score.low = value("low");
  score.high = value("high");
  score.pairs = model["pairs"].get<int64_t>();
  return score;
}

Json json_number(double value) { return std::isnan(value) ? Json() : Json(value); }

/// The rows are of one model, wheel and manifest.
eval::Provenance provenance_of(const EvaluationRows& rows) { return eval::provenance_in(rows.rows.front().scores); }

std::string metric_of(const EvaluationRows& rows) { return rows.rows.front().scores.value("metric", "unknown"); }

/// What their intervals were drawn over; null where nothing was scored.
Json clusters_of(const EvaluationRows& rows) {
  const Json& scores = rows.rows.front().scores;
  return scores.contains("arms") ? scores["arms"][0]["bootstrap"]["clusters"] : Json();
}

struct OverCheckpoints {
  double fixed = 0, mean = 0, deviation = std::numeric_limits<double>::quiet_NaN();
  size_t best = 0;
};

OverCheckpoints over_checkpoints(const EvaluationRows& rows) {
  OverCheckpoints over;
  std::vector<double> values;
  for (const EvaluationRow& row : rows.rows) values.push_back(score_of(row).f);
  over.fixed = values.back();
  for (const double value : values) over.mean += value / static_cast<double>(values.size());
  double squares = 0;
  for (const double value : values) squares += (value - over.mean) * (value - over.mean);
  if (values.size() > 1) over.deviation = std::sqrt(squares / static_cast<double>(values.size() - 1));
  over.best = static_cast<size_t>(std::ranges::max_element(values) - values.begin());
  return over;
}

Error no_range(const std::string& range) {
  return ConfigError("'{}' is no range of steps", range)
      .at("--checkpoints")
      .hint("give the first and the last step and the distance, such as 500-2000:500");
}

/// Digits of a number that ends at one of `ends`.
int64_t take_number(const std::string& range, size_t& from, char end) {
  const size_t stop = end == 0 ? range.size() : range.find(end, from);
  int64_t number = -1;
  if (stop == std::string::npos) throw no_range(range);
  const auto [last, code] = std::from_chars(range.data() + from, range.data() + stop, number);
  if (code != std::errc() || last != range.data() + stop || number < 0) throw no_range(range);
  from = stop + 1;
  return number;
}

}  // namespace

std::vector<data::ControlOptions> control_grid(const model::ModelOptions& model, const data::ControlOptions& base) {
  if (base.modalities != data::all_modalities || base.control != data::Control::none)
    throw ConfigError("the grid chooses the modalities, and some are chosen")
        .at("--grid, modalities and control")
        .hint("leave modalities and control out");
  std::vector<std::string> had = {"transcript"};
  if (model.visual.enabled) had.emplace_back("frames");
  if (model.visual.enabled && model.local.enabled) had.emplace_back("face");
  if (model.audio.enabled) had.emplace_back("sound");
  std::vector<data::ControlOptions> grid;
  for (const std::vector<std::string>& set : data::modality_sets()) {
    const auto is_had = [&](const std::string& modality) { return std::ranges::find(had, modality) != had.end(); };
    if (!std::ranges::all_of(set, is_had)) continue;
    grid.push_back(base);
    grid.back().modalities = set;
  }
  grid.push_back(base);
  grid.back().control = data::Control::question_only;
  return grid;
}

std::vector<fs::path> checkpoints_of_range(const fs::path& run, const std::string& range) {
  size_t from = 0;
  const int64_t first = take_number(range, from, '-'), last = take_number(range, from, ':'),
                distance = take_number(range, from, 0);
  constexpr int64_t most_steps = 10'000;
  if (distance == 0 || last < first) throw no_range(range);
  if ((last - first) / distance >= most_steps)
    throw ConfigError("'{}' names more than {} steps", range, most_steps).at("--checkpoints").hint("take a larger distance");
  std::vector<std::string> there, missing;
  for (const auto& found : checkpoint::list_checkpoints(run)) there.push_back(std::to_string(found.step));
  std::vector<fs::path> folders;
  for (int64_t i = 0; i <= (last - first) / distance; ++i) {
    const int64_t step = first + i * distance;
    if (std::ranges::find(there, std::to_string(step)) == there.end())
      missing.push_back(std::to_string(step));
    else
      folders.push_back(checkpoint::step_folder(run, step));
  }
  if (!missing.empty())
    throw CheckpointError("the run has no checkpoint of step {}; it has {}", fmt::join(missing, ", "),
                          there.empty() ? "none" : fmt::format("{}", fmt::join(there, ", ")))
        .where(run)
        .hint("train.keep_last keeps more of them");
  return folders;
}

Json to_json(const EvaluationRows& rows) {
  Json json = {{"metric", metric_of(rows)}};
  json.update(eval::to_json(provenance_of(rows)));
  json["clusters"] = clusters_of(rows);
  json["rows"] = Json::array();
  for (const EvaluationRow& row : rows.rows) {
    const RowScore score = score_of(row);
    json["rows"].push_back({{"name", row.name},
                            {"folder", row.folder.string()},
                            {"pairs", score.pairs},
                            {"f_score", json_number(score.f)},
                            {"low", json_number(score.low)},
                            {"high", json_number(score.high)}});
  }
  if (!rows.over_checkpoints) return json;
  const OverCheckpoints over = over_checkpoints(rows);
  json["fixed"] = json_number(over.fixed);
  json["mean"] = json_number(over.mean);
  json["standard_deviation"] = json_number(over.deviation);
  json["best"] = {{"name", rows.rows[over.best].name},
                  {"f_score", json_number(score_of(rows.rows[over.best]).f)},
                  {"chosen_on", "the same clips"}};
  return json;
}

std::string rows_text(const EvaluationRows& rows) {
  report::Table table{{rows.title, "pairs", "wheel F", "95 % interval"}, {}};
  for (const EvaluationRow& row : rows.rows) {
    const RowScore score = score_of(row);
    table.rows.push_back({row.name, std::to_string(score.pairs), number(score.f, 3), between({score.low, score.high}, 3)});
  }
  std::string text =
      fmt::format("{}\n{}\n\n{}", metric_of(rows), eval::to_text(provenance_of(rows)), report::format_table(table));
  if (const Json clusters = clusters_of(rows); clusters.is_string())
    text += fmt::format("intervals: bootstrap over {}s\n", clusters.get<std::string>());
  if (!rows.over_checkpoints) return text;
  const OverCheckpoints over = over_checkpoints(rows);
  const EvaluationRow& best = rows.rows[over.best];
  return text +
         fmt::format("\nfixed (the last)      {}\nmean of {:<3} ± sd      {} ± {}\nbest, chosen on these clips: {} of {}\n",
                     number(over.fixed, 3), rows.rows.size(), number(over.mean, 3), number(over.deviation, 3),
                     number(score_of(best).f, 3), best.name);
}

report::BarChart rows_chart(const EvaluationRows& rows) {
  report::BarChart chart{
      rows.title, "mean wheel F over (clip, utterance), 95 % interval", {{"", {}}}, eval::to_text(provenance_of(rows))};
  for (const EvaluationRow& row : rows.rows) {
    const RowScore score = score_of(row);
    chart.groups[0].bars.push_back({row.name, score.f, score.low, score.high});
  }
  return chart;
}

}  // namespace microemo::cli
