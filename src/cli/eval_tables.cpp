#include "eval_tables.h"

#include <cmath>

#include <fmt/format.h>

#include "microemo/report/table.h"

namespace microemo::cli {
namespace {

std::string number(double value) { return std::isnan(value) ? "-" : fmt::format("{:.3f}", value); }

std::string interval(const eval::Interval& of) { return fmt::format("[{}, {}]", number(of.low), number(of.high)); }

}  // namespace

std::string arms_table(const std::vector<Arm>& arms) {
  report::Table table{{"answers", "pairs", "wheel F", "95 % interval", "set F", "95 % interval"}, {}};
  for (const auto& [name, scores] : arms)
    table.rows.push_back({name, std::to_string(scores.pairs), number(scores.pair_f), interval(scores.pair_f_interval),
                          number(scores.set_f), interval(scores.set_f_interval)});
  return report::format_table(table);
}

std::string breakdown_table(const infer::Breakdown& breakdown) {
  if (breakdown.empty()) return {};
  report::Table table{{"of", "", "utterances", "wheel F", "named rightly"}, {}};
  for (const auto& [channel, classes] : breakdown)
    for (const auto& [name, score] : classes)
      table.rows.push_back(
          {channel, name, std::to_string(score.pairs), number(score.pair_f), score.accuracy ? number(*score.accuracy) : "-"});
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
