#include "score_metrics.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <CLI/CLI.hpp>

#include "json_text.h"
#include "microemo/base/error.h"
#include "microemo/base/hash.h"
#include "microemo/base/log.h"
#include "microemo/eval/label_report.h"
#include "microemo/eval/provenance.h"
#include "microemo/eval/unibench.h"
#include "microemo/eval/wheel_release.h"
#include "microemo/report/table.h"
#include "numbers.h"
#include "whole_number.h"

namespace microemo::cli {
namespace {

using eval::Metric;
using eval::MetricFamily;
using eval::MetricResult;

constexpr size_t most_labels = 10;

/// Everything that is read for the metrics.
struct Inputs {
  std::vector<Metric> metrics;
  std::filesystem::path synonyms;
  std::optional<eval::LabelFiles> labels, sentiment;
  eval::MetricSources sources;
};

std::vector<Metric> parse_metrics(const std::vector<std::string>& names) {
  std::vector<Metric> metrics;
  for (const std::string& name : names) {
    if (std::ranges::find(metrics, name, &Metric::name) != metrics.end())
      throw ConfigError("the metric '{}' is named twice", name).at("--metric").hint("name it once");
    metrics.push_back(eval::parse_metric(name));
  }
  return metrics;
}

bool is_cached(const Metric& metric) { return metric.family == MetricFamily::cached_groups; }

void check_option(const char* option, const std::string& value, const Metric* user, const char* what, const char* users) {
  if (value.empty() && user != nullptr)
    throw ConfigError("the metric '{}' needs {}", user->name, what).at("command line").hint(fmt::format("add {}", option));
  if (!value.empty() && user == nullptr)
    throw ConfigError("none of the metrics uses {}", option)
        .at("command line")
        .hint(fmt::format("leave it out, or name a metric that does: {}", users));
}

const Metric* first_of(const std::vector<Metric>& metrics, bool (*is)(const Metric&)) {
  const auto found = std::ranges::find_if(metrics, is);
  return found == metrics.end() ? nullptr : &*found;
}

void check_options(const ScoreMetricsWords& words, const std::vector<Metric>& metrics) {
  check_option("--wheels DIR", words.wheels, first_of(metrics, eval::needs_wheel), "the emotion wheels of MERTools",
               "those with ew, hit and mscore");
  check_option("--synonyms ZIP", words.synonyms, first_of(metrics, is_cached), "cached groupings", "mer2024-gpt");
}

std::vector<std::string> metric_names_of(const ScoreMetricsWords& words) {
  if (words.dataset.empty()) return words.metrics;
  const eval::UniBenchSet& set = eval::unibench_set(words.dataset);
  if (!words.metrics.empty())
    throw ConfigError("--dataset {} has metrics of its own: {}", set.name, set.metric)
        .at("command line")
        .hint("leave --metric or --dataset out");
  std::vector<std::string> names = {set.metric};
  names.insert(names.end(), set.others.begin(), set.others.end());
  return names;
}

eval::LabelFiles read_files(const ScoreMetricsWords& words, eval::LabelContent content) {
  if (words.dataset.empty()) return eval::read_label_files(words.predictions, words.truths, content);
  eval::LabelFiles files;
  files.predictions = eval::read_label_table(words.predictions, files.words, content);
  files.truths = eval::read_unibench_truths(words.truths, eval::unibench_set(words.dataset), files.words);
  files.truths.splits = {words.dataset + " test"};
  files.match = eval::match_tables(files.predictions, files.truths);
  return files;
}

Inputs read_inputs(const ScoreMetricsWords& words) {
  Inputs inputs;
  inputs.metrics = parse_metrics(metric_names_of(words));
  check_options(words, inputs.metrics);
  for (const Metric& metric : inputs.metrics)
    if (eval::needs_wheel(metric) && !inputs.sources.wheels.contains(metric.release))
      inputs.sources.wheels.emplace(metric.release, eval::load_release_wheels(words.wheels, metric.release));
  inputs.synonyms = words.synonyms;
  if (!words.synonyms.empty()) inputs.sources.groups = eval::read_cached_groups(words.synonyms);
  const auto sentiment = [](const Metric& metric) { return eval::is_of_sentiment(metric); };
  if (!std::ranges::all_of(inputs.metrics, sentiment)) inputs.labels = read_files(words, eval::LabelContent::labels);
  if (std::ranges::any_of(inputs.metrics, sentiment)) inputs.sentiment = read_files(words, eval::LabelContent::sentiment);
  return inputs;
}

eval::ClusterKind cluster_kind(const std::string& name) {
  if (name == "clip") return eval::ClusterKind::clip;
  if (name == "dialogue") return eval::ClusterKind::dialogue;
  return name == "speaker" ? eval::ClusterKind::speaker : eval::ClusterKind::best;
}

const eval::LabelFiles& files_of(const Inputs& inputs, const Metric& metric) {
  return eval::is_of_sentiment(metric) ? *inputs.sentiment : *inputs.labels;
}

eval::Provenance provenance_of(const Inputs& inputs, const Metric& metric) {
  const eval::LabelFiles& files = files_of(inputs, metric);
  const eval::EmotionWheel* wheel = eval::needs_wheel(metric) ? &inputs.sources.wheels.at(metric.release).wheel : nullptr;
  return eval::provenance_of(files.predictions, files.truths, wheel);
}

/// What a reader has to know beside the numbers.
std::vector<std::string> notes_of(const Inputs& inputs, const MetricResult& result) {
  std::vector<std::string> notes = result.notes;
  const eval::LabelFiles& files = files_of(inputs, result.metric);
  if (!files.match.extra.empty()) {
    std::vector<std::string> ids;
    for (const uint32_t item : files.match.extra) ids.emplace_back(files.predictions.id(item));
    notes.push_back(fmt::format("{} of {} predictions have no truth and are not scored: {}", ids.size(), files.predictions.size(),
                                eval::list_ids(ids)));
  }
  if (result.n == 0)
    notes.push_back(fmt::format("{} scores nothing: {}", result.metric.name,
                                eval::needs_wheel(result.metric)       ? "no true label has a class of the wheels"
                                : eval::is_of_sentiment(result.metric) ? "every true valence is 0"
                                                                       : "there are no truths"));
  if (!eval::needs_wheel(result.metric)) return notes;
  const eval::EmotionWheel& wheel = inputs.sources.wheels.at(result.metric.release).wheel;
  if (wheel.release.empty())
    notes.push_back(fmt::format("the wheels in {} are of no known release; scored with the rules of {}", wheel.path.string(),
                                result.metric.release));
  return notes;
}

Json file_json(const eval::LabelTable& file) {
  return {{"path", file.path.string()},
          {"sha256", file.hash},
          {"labels_from", file.keys},
          {"extractor", eval::names_of(file.extractors)}};
}

Json wheel_json(const eval::EmotionWheel& wheel) {
  return {{"release", wheel.release.empty() ? Json("unknown") : Json(wheel.release)},
          {"path", wheel.path.string()},
          {"sha256", wheel.hash}};
}

Json interval_json(const std::optional<eval::Interval>& interval) {
  return interval ? Json::array({interval->low, interval->high}) : Json(nullptr);
}

/// Of what an interval is; of none without resamples.
struct ClusterFacts {
  std::string kind = "none";
  int64_t count = 0;
};

Json result_json(const Inputs& inputs, const MetricResult& result, const ClusterFacts& clusters,
                 const eval::BootstrapOptions& bootstrap) {
  Json json = {{"metric", result.metric.name}, {"n", result.n}};
  json.update(eval::to_json(provenance_of(inputs, result.metric)));
  if (!result.n_per_wheel.empty()) json["n_per_wheel"] = result.n_per_wheel;
  for (const auto& [name, value] : result.numbers) json[name] = value;
  json["interval"] = interval_json(result.interval);
  json["unknown_labels"] = {{"count", result.unknown.count()},
                            {"distinct", result.unknown.distinct()},
                            {"predicted", result.unknown.predicted},
                            {"truth", result.unknown.truth}};
  json["bootstrap"] = {{"resamples", bootstrap.resamples},
                       {"confidence", bootstrap.confidence},
                       {"seed", bootstrap.seed},
                       {"clusters", clusters.kind},
                       {"cluster_count", clusters.count}};
  if (eval::needs_wheel(result.metric)) json["wheels"] = wheel_json(inputs.sources.wheels.at(result.metric.release).wheel);
  if (is_cached(result.metric))
    json["groupings"] = {{"path", inputs.synonyms.string()}, {"sha256", sha256_file(inputs.synonyms)}};
  const eval::LabelFiles& files = files_of(inputs, result.metric);
  json["predictions"] = file_json(files.predictions);
  json["truths"] = file_json(files.truths);
  json["notes"] = notes_of(inputs, result);
  return json;
}

std::string named(const MetricResult& result, const char* first, const char* second) {
  for (const auto& [name, value] : result.numbers)
    if (name == first || name == second) return number(value, 4);
  return "";
}

report::Table table_of(const std::vector<MetricResult>& results) {
  report::Table table{{"metric", "n", "n per wheel", "precision", "recall", "score", "interval", "unknown labels"}, {}};
  for (const MetricResult& result : results) {
    const auto& interval = result.interval;
    const bool several = result.numbers.size() > 1;
    table.rows.push_back({result.metric.name, std::to_string(result.n), fmt::format("{}", fmt::join(result.n_per_wheel, " ")),
                          several ? named(result, "precision", "accuracy") : "", several ? named(result, "recall", "recall") : "",
                          number(result.numbers.back().second, 4), interval ? between(*interval, 4) : "",
                          fmt::format("{} ({} distinct)", result.unknown.count(), result.unknown.distinct())});
  }
  return table;
}

std::string most_frequent(const eval::UnknownLabels& unknown) {
  std::map<std::string, int64_t> counts = unknown.predicted;
  for (const auto& [label, count] : unknown.truth) counts[label] += count;
  std::vector<std::pair<std::string, int64_t>> ranked(counts.begin(), counts.end());
  std::ranges::stable_sort(ranked, std::ranges::greater(), &std::pair<std::string, int64_t>::second);
  std::string text;
  for (size_t i = 0; i < std::min(ranked.size(), most_labels); ++i)
    text += fmt::format("{}{} ({})", i > 0 ? ", " : "", ranked[i].first, ranked[i].second);
  return ranked.size() > most_labels ? fmt::format("{} and {} more; --json lists all", text, ranked.size() - most_labels) : text;
}

void print_text(const Inputs& inputs, const std::vector<MetricResult>& results, const ClusterFacts& clusters,
                const eval::BootstrapOptions& bootstrap) {
  for (const auto& [release, wheels] : inputs.sources.wheels)
    std::printf("wheels %s: %s (sha256 %s)\n", release.c_str(), wheels.wheel.path.c_str(),
                wheels.wheel.hash.substr(0, 16).c_str());
  std::printf("%s\n", report::format_table(table_of(results)).c_str());
  std::set<std::string> made_from;
  for (const MetricResult& result : results)
    if (const std::string text = eval::to_text(provenance_of(inputs, result.metric)); made_from.insert(text).second)
      std::printf("%s\n", text.c_str());
  if (bootstrap.resamples > 0)
    std::printf("%s\n", fmt::format("interval: {:g} % bootstrap over {}s, {} resamples, seed {}", 100 * bootstrap.confidence,
                                    clusters.kind, bootstrap.resamples, bootstrap.seed)
                            .c_str());
  if (const std::string few = eval::few_clusters_text(clusters.count, clusters.kind); bootstrap.resamples > 0 && !few.empty())
    std::printf("%s\n", few.c_str());
  std::set<std::string> said;
  for (const MetricResult& result : results)
    if (const std::string words = most_frequent(result.unknown); !words.empty() && said.insert(words).second)
      std::printf("unknown to %s: %s\n", result.metric.name.c_str(), words.c_str());
}

ClusterFacts clusters_of(const Inputs& inputs, const Metric& metric, const ScoreMetricsWords& words) {
  if (words.bootstrap.resamples == 0) return {};
  const eval::Clusters found = eval::make_clusters(files_of(inputs, metric).truths, cluster_kind(words.clusters));
  const auto most = std::ranges::max_element(found.numbers);
  return {found.kind, most == found.numbers.end() ? 0 : int64_t(*most) + 1};
}

/// The groupings that the tables are of: those of all metrics under one release.
std::pair<std::string, std::vector<std::string>> groupings_of_tables(const std::vector<Metric>& metrics) {
  std::string release;
  std::vector<std::string> groupings;
  for (const Metric& metric : metrics) {
    if (!eval::needs_wheel(metric)) continue;
    if (!release.empty() && metric.release != release)
      throw ConfigError("--per-sample, --per-class and --confusion are of one release, and metrics of 2025 and 2026 are named")
          .at("command line")
          .hint("name metrics of one release");
    release = metric.release;
    for (const std::string& grouping : metric.groupings)
      if (std::ranges::find(groupings, grouping) == groupings.end()) groupings.push_back(grouping);
  }
  if (release.empty())
    throw ConfigError("--per-sample, --per-class and --confusion need a metric of the emotion wheels")
        .at("command line")
        .hint("name one with ew, hit or mscore");
  return {release, groupings};
}

void write_tables(const ScoreMetricsWords& words, const Inputs& inputs) {
  if (words.per_sample.empty() && words.per_class.empty() && words.confusion.empty()) return;
  const auto [release, groupings] = groupings_of_tables(inputs.metrics);
  const eval::ReleaseWheels& wheels = inputs.sources.wheels.at(release);
  const eval::LabelFiles& labels = *inputs.labels;
  const eval::Provenance provenance = eval::provenance_of(labels.predictions, labels.truths, &wheels.wheel);
  if (!words.per_sample.empty()) eval::write_item_table(words.per_sample, labels, wheels, groupings, provenance);
  if (!words.per_class.empty()) eval::write_class_table(words.per_class, eval::class_rows(labels, wheels, groupings), provenance);
  if (!words.confusion.empty())
    eval::write_confusion_table(words.confusion, eval::confusion_cells(labels, wheels, groupings), provenance);
}

/// Results point into what was read.
struct Scored {
  Inputs inputs;
  std::vector<MetricResult> results;
};

/// Reads, scores, writes the tables that were asked for, and tells the notes.
void score(const ScoreMetricsWords& words, Scored& scored) {
  Inputs& inputs = scored.inputs;
  inputs = read_inputs(words);
  inputs.sources.labels = inputs.labels ? &*inputs.labels : nullptr;
  inputs.sources.sentiment = inputs.sentiment ? &*inputs.sentiment : nullptr;
  scored.results = eval::score_metrics(inputs.metrics, inputs.sources, cluster_kind(words.clusters), words.bootstrap);
  write_tables(words, inputs);
  std::set<std::string> said;
  for (const MetricResult& result : scored.results)
    for (const std::string& note : notes_of(inputs, result))
      if (said.insert(note).second) log_warning(note);
}

Json to_json(const Scored& scored, const ScoreMetricsWords& words) {
  Json json = Json::object();
  for (const MetricResult& result : scored.results)
    json[result.metric.name] =
        result_json(scored.inputs, result, clusters_of(scored.inputs, result.metric, words), words.bootstrap);
  return json;
}

}  // namespace

void add_benchmark_options(CLI::App& command, BenchmarkWords& words) {
  command
      .add_option("--wheels", words.wheels,
                  "MERTools' emotion wheels for the public metrics: a folder of wheel1.xlsx …, or one that holds such folders")
      ->type_name("DIR");
  command.add_option("--bootstrap", words.bootstrap.resamples, "Resamples of the 95 % intervals; 0 makes none")
      ->check(CLI::Range(0, 1000000))
      ->capture_default_str();
  command.add_option("--seed", words.bootstrap.seed, "Seed of the resamples")
      ->check(whole_number<uint64_t>)
      ->capture_default_str();
}

Json score_files(const ScoreMetricsWords& words) {
  Scored scored;
  score(words, scored);
  return to_json(scored, words);
}

void score_with_metrics(const ScoreMetricsWords& words) {
  Scored scored;
  score(words, scored);
  if (words.json)
    std::printf("%s\n", json_text(to_json(scored, words)).c_str());
  else
    print_text(scored.inputs, scored.results, clusters_of(scored.inputs, scored.inputs.metrics[0], words), words.bootstrap);
}

}  // namespace microemo::cli
