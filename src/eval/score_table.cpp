#include "microemo/eval/score_table.h"

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>

#include "microemo/base/error.h"
#include "microemo/eval/labels.h"
#include "microemo/eval/resample.h"
#include "microemo/formats/csv.h"

namespace microemo::eval {
namespace {

constexpr double none = std::numeric_limits<double>::quiet_NaN();

/// The pairs' scores under each headline grouping.
using Columns = std::vector<std::vector<std::optional<PairScore>>>;

Columns make_columns(const std::vector<LabelPair>& pairs, const EmotionWheel& wheel) {
  Columns columns;
  for (const std::string& name : wheel.headline) {
    columns.emplace_back();
    for (const LabelPair& pair : pairs) columns.back().push_back(score_pair(pair, wheel.grouping(name)));
  }
  return columns;
}

double headline(const Columns& columns, const std::vector<size_t>& positions, double SetScore::*value) {
  double sum = 0;
  for (const auto& column : columns) sum += average(column, positions).*value;
  return sum / static_cast<double>(columns.size());
}

constexpr uint32_t slots_of_grouping = 4;  // pairs, precision, recall, F

ScoreParts parts_of(const Columns& columns) {
  ScoreParts parts;
  parts.slot_count = slots_of_grouping * static_cast<uint32_t>(columns.size());
  for (size_t pair = 0; pair < columns.front().size(); ++pair) {
    for (uint32_t column = 0; column < columns.size(); ++column) {
      const auto& score = columns[column][pair];
      if (!score) continue;
      const std::array<double, slots_of_grouping> amounts{1, score->precision, score->recall, score->f};
      for (uint32_t slot = 0; slot < slots_of_grouping; ++slot) parts.add(slots_of_grouping * column + slot, amounts[slot]);
    }
    parts.end_item();
  }
  return parts;
}

/// The same of the sums over what was drawn.
double headline(std::span<const double> sums, double SetScore::*value) {
  double total = 0;
  for (size_t at = 0; at < sums.size(); at += slots_of_grouping) {
    const double pairs = sums[at], precision = sums[at + 1] / pairs, recall = sums[at + 2] / pairs;
    const SetScore score{.pairs = static_cast<int64_t>(pairs),
                         .precision = precision,
                         .recall = recall,
                         .f = precision + recall == 0 ? 0 : 2 * precision * recall / (precision + recall),
                         .pair_f = sums[at + 3] / pairs};
    total += score.*value;
  }
  return total / static_cast<double>(sums.size() / slots_of_grouping);
}

std::vector<uint32_t> cluster_numbers(const std::vector<std::string>& names) {
  Vocabulary vocabulary;
  std::vector<uint32_t> numbers;
  for (const std::string& name : names) numbers.push_back(vocabulary.number(name));
  return numbers;
}

bool is_known(const std::string& label, const EmotionWheel& wheel) {
  return std::ranges::any_of(wheel.groupings,
                             [&](const Grouping& grouping) { return grouping.class_of.contains(normalise_label(label)); });
}

void count_unknown(const std::vector<std::string>& labels, const EmotionWheel& wheel, std::map<std::string, int64_t>& counts) {
  for (const std::string& label : labels)
    if (!is_known(label, wheel)) ++counts[normalise_label(label)];
}

void list_what_is_left_out(const std::vector<LabelPair>& pairs, const EmotionWheel& wheel, const Columns& columns,
                           ScoreTable& table) {
  for (size_t i = 0; i < pairs.size(); ++i) {
    if (std::ranges::none_of(columns, [&](const auto& column) { return column[i].has_value(); }))
      table.skipped.push_back(pairs[i].id);
    count_unknown(pairs[i].truth, wheel, table.unknown_truth);
    count_unknown(pairs[i].predicted, wheel, table.unknown_predicted);
  }
  if (table.skipped.size() == pairs.size())
    throw DataError("none of the {} truths has a label that the wheel '{}' knows", pairs.size(), wheel.name)
        .where(wheel.path)
        .hint("labels must be in the wheel's language; check that the files are predictions first, truths second");
}

Json interval_json(double value, const Interval& interval) {
  return {{"value", value}, {"low", interval.low}, {"high", interval.high}};
}

/// A result says what its numbers are.
Json metric_json() {
  return {
      {"pair_f",
       "mean over pairs of 2|Y&P| / (|Y|+|P|), Y and P the classes of truth and prediction; mean over the headline groupings"},
      {"set_f", "2PR/(P+R) of precision and recall averaged over pairs; mean over the headline groupings"},
      {"empty_prediction", "0"},
      {"truth_without_class", "left out"}};
}

Json wheel_json(const ScoreTable& table) {
  Json files = Json::array();
  for (const WheelFile& file : table.wheel_files) files.push_back({{"path", file.path.string()}, {"sha256", file.hash}});
  return {{"name", table.wheel},
          {"path", table.wheel_path.string()},
          {"sha256", table.wheel_hash},
          {"files", files},
          {"headline", table.headline}};
}

std::string joined(const std::vector<std::string>& words) { return fmt::format("{}", fmt::join(words, "; ")); }
std::string joined(const std::set<std::string>& words) { return fmt::format("{}", fmt::join(words, "; ")); }

}  // namespace

PairClusters best_clusters(std::vector<std::string> dialogues, std::vector<std::string> speakers) {
  const auto names_all = [](const std::vector<std::string>& names) {
    return !names.empty() && std::ranges::none_of(names, &std::string::empty);
  };
  if (names_all(dialogues)) return {"dialogue", std::move(dialogues)};
  if (names_all(speakers)) return {"speaker", std::move(speakers)};
  return {};
}

std::vector<std::string> clusters_of_pairs(const std::vector<LabelPair>& pairs, const PairClusters& clusters) {
  MICROEMO_CHECK(clusters.of_pair.empty() || clusters.of_pair.size() == pairs.size(), "{} clusters of {} pairs",
                 clusters.of_pair.size(), pairs.size());
  if (!clusters.of_pair.empty()) return clusters.of_pair;
  std::vector<std::string> clips;
  for (const LabelPair& pair : pairs) clips.push_back(pair.clip);
  return clips;
}

ScoreTable score_predictions(const std::vector<LabelPair>& pairs, const EmotionWheel& wheel, const BootstrapOptions& bootstrap,
                             const PairClusters& clusters) {
  ScoreTable table;
  table.wheel = wheel.name;
  table.wheel_path = wheel.path;
  table.wheel_hash = wheel.hash;
  table.wheel_files = wheel.files;
  table.headline = wheel.headline;
  table.pairs = static_cast<int64_t>(pairs.size());
  table.bootstrap = bootstrap;
  table.clusters = clusters.kind;
  const Columns columns = make_columns(pairs, wheel);
  list_what_is_left_out(pairs, wheel, columns, table);
  for (const Grouping& grouping : wheel.groupings) table.groupings.push_back({grouping.name, score_sets(pairs, grouping)});

  std::vector<size_t> all(pairs.size());
  std::iota(all.begin(), all.end(), size_t{0});
  table.pair_f = headline(columns, all, &SetScore::pair_f);
  table.set_f = headline(columns, all, &SetScore::f);
  table.pair_f_interval = table.set_f_interval = {none, none};
  if (bootstrap.resamples == 0) return table;
  const std::vector<ScoreOfSums> scores = {[](std::span<const double> sums) { return headline(sums, &SetScore::pair_f); },
                                           [](std::span<const double> sums) { return headline(sums, &SetScore::f); }};
  const std::vector<uint32_t> numbers = cluster_numbers(clusters_of_pairs(pairs, clusters));
  table.cluster_count = numbers.empty() ? 0 : int64_t(*std::ranges::max_element(numbers)) + 1;
  const auto intervals = bootstrap_scores(parts_of(columns), numbers, scores, bootstrap);
  table.pair_f_interval = intervals[0];
  table.set_f_interval = intervals[1];
  return table;
}

Json to_json(const ScoreTable& table) {
  Json json;
  json["metric"] = metric_json();
  json["wheel"] = wheel_json(table);
  json["pairs"] = table.pairs;
  json["pair_f"] = interval_json(table.pair_f, table.pair_f_interval);
  json["set_f"] = interval_json(table.set_f, table.set_f_interval);
  json["bootstrap"] = {{"resamples", table.bootstrap.resamples},
                       {"confidence", table.bootstrap.confidence},
                       {"seed", table.bootstrap.seed},
                       {"clusters", table.clusters},
                       {"cluster_count", table.cluster_count}};
  json["groupings"] = Json::array();
  for (const auto& [name, score] : table.groupings)
    json["groupings"].push_back({{"name", name},
                                 {"pairs", score.pairs},
                                 {"precision", score.precision},
                                 {"recall", score.recall},
                                 {"f", score.f},
                                 {"pair_f", score.pair_f}});
  json["skipped"] = table.skipped;
  json["unknown_labels"] = {{"truth", table.unknown_truth}, {"predicted", table.unknown_predicted}};
  return json;
}

void write_pair_scores(const std::filesystem::path& csv_file, const std::vector<LabelPair>& pairs, const EmotionWheel& wheel,
                       const Provenance& provenance) {
  std::vector<std::string> header{"id", "truth", "predicted"};
  for (const std::string& name : wheel.headline)
    for (const char* column : {"truth", "predicted", "f"}) header.push_back(name + " " + column);
  std::vector<std::vector<std::string>> rows;
  for (const LabelPair& pair : pairs) {
    std::vector<std::string> row{pair.id, joined(pair.truth), joined(pair.predicted)};
    for (const std::string& name : wheel.headline) {
      const Grouping& grouping = wheel.grouping(name);
      const auto score = score_pair(pair, grouping);
      row.push_back(joined(classes_of(pair.truth, grouping)));
      row.push_back(joined(classes_of(pair.predicted, grouping)));
      row.push_back(score ? fmt::format("{:.6f}", score->f) : "");
    }
    rows.push_back(std::move(row));
  }
  add_provenance(header, rows, provenance);
  formats::write_csv(csv_file, header, rows);
}

}  // namespace microemo::eval
