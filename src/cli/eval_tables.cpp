#include "eval_tables.h"

#include <fmt/format.h>

#include "microemo/report/table.h"
#include "numbers.h"

namespace microemo::cli {

std::string arms_table(const std::vector<Arm>& arms) {
  report::Table table{{"answers", "pairs", "wheel F", "95 % interval", "set F", "95 % interval"}, {}};
  for (const auto& [name, scores] : arms)
    table.rows.push_back({name, std::to_string(scores.pairs), number(scores.pair_f, 3), between(scores.pair_f_interval, 3),
                          number(scores.set_f, 3), between(scores.set_f_interval, 3)});
  const eval::ScoreTable& model = arms.front().scores;
  std::string text = report::format_table(table) + fmt::format("intervals: bootstrap over {}s, {} resamples, seed {}\n",
                                                               model.clusters, model.bootstrap.resamples, model.bootstrap.seed);
  if (const std::string few = eval::few_clusters_text(model.cluster_count, model.clusters); !few.empty()) text += few + "\n";
  return text;
}

std::string breakdown_table(const infer::Breakdown& breakdown) {
  if (breakdown.empty()) return {};
  report::Table table{{"of", "", "utterances", "wheel F", "named rightly"}, {}};
  for (const auto& [channel, classes] : breakdown)
    for (const auto& [name, score] : classes)
      table.rows.push_back({channel, name, std::to_string(score.pairs), number(score.pair_f, 3),
                            score.accuracy ? number(*score.accuracy, 3) : "-"});
  return "\n" + report::format_table(table);
}

report::BarChart score_chart(const std::string& manifest, const eval::Provenance& provenance, const std::vector<Arm>& arms,
                             const infer::Breakdown& breakdown) {
  report::BarChart chart{fmt::format("{}, {} utterances", manifest, arms[0].scores.pairs),
                         "mean wheel F over (clip, utterance), 95 % interval",
                         {{"", {}}},
                         eval::to_text(provenance)};
  for (const auto& [name, scores] : arms)
    chart.groups[0].bars.push_back({name, scores.pair_f, scores.pair_f_interval.low, scores.pair_f_interval.high});
  for (const auto& [channel, classes] : breakdown) {
    report::BarGroup& group = chart.groups.emplace_back(report::BarGroup{"by " + channel, {}});
    for (const auto& [name, score] : classes) group.bars.push_back({fmt::format("{} ({})", name, score.pairs), score.pair_f});
  }
  return chart;
}

}  // namespace microemo::cli
