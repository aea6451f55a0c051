#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <CLI/CLI.hpp>

#include "json_text.h"
#include "microemo/base/error.h"
#include "microemo/cli/commands.h"
#include "microemo/eval/metrics.h"
#include "microemo/eval/score_table.h"
#include "microemo/report/table.h"
#include "numbers.h"
#include "overwritten.h"
#include "score_explanations.h"
#include "score_metrics.h"

namespace microemo::cli {
namespace {

constexpr size_t most_labels = 10;

struct Words : ScoreMetricsWords {
  std::string wheel, judge;
  bool timeline = false, explanations = false;
};

void print(const std::string& line) { std::printf("%s\n", line.c_str()); }

std::string with_interval(double value, const eval::Interval& interval) {
  return fmt::format("{}  {}", number(value, 4), between(interval, 4));
}

void print_unknown(const char* whose, const std::map<std::string, int64_t>& counts) {
  if (counts.empty()) return;
  std::vector<std::pair<std::string, int64_t>> ranked(counts.begin(), counts.end());
  std::ranges::stable_sort(ranked, std::ranges::greater(), &std::pair<std::string, int64_t>::second);
  std::string words;
  for (size_t i = 0; i < std::min(ranked.size(), most_labels); ++i)
    words += fmt::format("{}{} ({})", i > 0 ? ", " : "", ranked[i].first, ranked[i].second);
  if (ranked.size() > most_labels) words += fmt::format(" and {} more; --json lists all", ranked.size() - most_labels);
  print(fmt::format("{} that the wheel does not know: {}", whose, words));
}

void print_text(const eval::ScoreTable& table, const eval::Provenance& provenance) {
  print(fmt::format("wheel   {} ({}, sha256 {})", table.wheel, table.wheel_path.string(), table.wheel_hash.substr(0, 16)));
  print(fmt::format("from    {}", eval::to_text(provenance)));
  print(fmt::format("pairs   {}; left out because the wheel knows none of their true labels: {}", table.pairs,
                    table.skipped.size()));
  print(fmt::format("pair F  {}   mean over pairs of each pair's F, over {}", with_interval(table.pair_f, table.pair_f_interval),
                    fmt::join(table.headline, ", ")));
  print(fmt::format("set F   {}   F of the averaged precision and recall", with_interval(table.set_f, table.set_f_interval)));
  print(fmt::format("        [{:g} % bootstrap interval over {}s, {} resamples, seed {}]\n", 100 * table.bootstrap.confidence,
                    table.clusters, table.bootstrap.resamples, table.bootstrap.seed));
  if (const std::string few = eval::few_clusters_text(table.cluster_count, table.clusters);
      table.bootstrap.resamples > 0 && !few.empty())
    print(few + "\n");
  report::Table rows{{"grouping", "pairs", "precision", "recall", "set F", "pair F"}, {}};
  for (const auto& [name, score] : table.groupings)
    rows.rows.push_back({name, std::to_string(score.pairs), number(score.precision, 4), number(score.recall, 4),
                         number(score.f, 4), number(score.pair_f, 4)});
  print(report::format_table(rows));
  print_unknown("true labels", table.unknown_truth);
  print_unknown("predicted labels", table.unknown_predicted);
}

Json file_json(const eval::LabelFile& file) { return {{"path", file.path.string()}, {"sha256", file.hash}}; }

/// An option that would change nothing is a mistake.
void refuse(const std::string& value, const char* option, const char* reason) {
  if (!value.empty())
    throw ConfigError("{} does nothing {}", option, reason).at("command line").hint("leave it out; see microemo score --help");
}

void run_metrics(const Words& words) {
  refuse(words.wheel, "--wheel", "beside --metric");
  refuse(words.judge, "--judge", "without --explanations");
  score_with_metrics(words);
}

void run_texts(const Words& words) {
  refuse(words.per_sample, "--per-sample", "beside --timeline and --explanations");
  refuse(words.timeline ? words.judge : "", "--judge", "without --explanations");
  const ScoreTextsWords texts{words.predictions, words.truths, words.wheel, words.judge, words.json};
  if (words.timeline) return score_timeline_files(texts);
  score_explanation_files(texts);
}

/// Dialogues or speakers where every truth names one.
eval::PairClusters clusters_of(const std::string& truths) {
  eval::Vocabulary labels;
  const eval::LabelTable table = eval::read_label_table(truths, labels);
  const eval::Clusters numbers = eval::make_clusters(table, eval::ClusterKind::best);
  eval::PairClusters clusters{.kind = numbers.kind};
  if (numbers.kind != "clip")
    for (const uint32_t number : numbers.numbers) clusters.of_pair.push_back(std::to_string(number));
  return clusters;
}

void run_pairs(const Words& words) {
  const eval::EmotionWheel wheel =
      eval::load_wheel(words.wheel.empty() ? eval::own_wheel_path() : std::filesystem::path(words.wheel));
  const eval::LabelFile predictions = eval::read_label_file(words.predictions), truths = eval::read_label_file(words.truths);
  const std::vector<eval::LabelPair> pairs = eval::match_labels(predictions, truths);
  const eval::ScoreTable table = eval::score_predictions(pairs, wheel, words.bootstrap, clusters_of(words.truths));
  const eval::Provenance provenance = eval::provenance_of(predictions, truths, &wheel);
  if (!words.per_sample.empty()) eval::write_pair_scores(words.per_sample, pairs, wheel, provenance);
  if (!words.json) return print_text(table, provenance);
  Json json = {{"predictions", file_json(predictions)}, {"truths", file_json(truths)}};
  json.update(eval::to_json(provenance));
  json.update(eval::to_json(table));
  print(json_text(json));
}

/// Every table has a file of its own, and none is a file that is read.
void check_tables(const Words& words) {
  std::map<std::filesystem::path, const char*> tables;
  for (const auto& [option, file] : {std::pair("--per-sample", words.per_sample), std::pair("--per-class", words.per_class),
                                     std::pair("--confusion", words.confusion)}) {
    if (file.empty()) continue;
    refuse_to_overwrite(option, file, {words.predictions, words.truths});
    const auto [other, is_new] = tables.emplace(std::filesystem::absolute(file).lexically_normal(), option);
    if (!is_new) throw ConfigError("{} and {} name one file", other->second, option).where(file).hint("name two files");
  }
}

void run(const Words& words) {
  check_tables(words);
  const bool metrics = !words.metrics.empty() || !words.dataset.empty();
  if (metrics + words.timeline + words.explanations > 1)
    throw ConfigError("--metric or --dataset, --timeline and --explanations are three ways to score")
        .at("command line")
        .hint("name one of them");
  if (metrics) return run_metrics(words);
  refuse(words.clusters == "best" ? "" : words.clusters, "--clusters", "without --metric");
  refuse(words.per_class, "--per-class", "without --metric");
  refuse(words.confusion, "--confusion", "without --metric");
  refuse(words.wheels, "--wheels", "without --metric");
  refuse(words.synonyms, "--synonyms", "without --metric");
  if (words.timeline || words.explanations) return run_texts(words);
  refuse(words.judge, "--judge", "without --explanations");
  run_pairs(words);
}

constexpr const char* footer =
    "Without --metric: F of every pair and of the set under one wheel. With it: the numbers of the public benchmarks.\n"
    "\n"
    "Metrics:\n"
    "  ew2025-l1 -l2, ew2026-l1 -l2    sets of labels on ring 1 or 2 of MERTools' emotion wheels, mean over the five\n"
    "  ew2025-w3-l2 and the like       one wheel; -m1 word forms, -m2 synonyms, -m-avg mean of all twelve\n"
    "  hit2025-l1, mscore2025-l1 …     one true label among the predicted ones; 2025 or 2026, -l1, -l2, -w3-l2 …\n"
    "  mer2024-gpt                     with cached groupings (--synonyms openset-synonym.zip)\n"
    "  sentiment-acc, sentiment-waf    positive, negative and neutral against valences\n"
    "  war, uar, waf                   single labels\n"
    "\n"
    "Files of labels (predictions and truths alike):\n"
    "  .jsonl  {\"id\": \"clip1/0\", \"labels\": [\"happy\"]} or {\"id\": …, \"answer\": \"The person feels happy.\"} a line;\n"
    "          \"name\" and \"openset\" are read as well; a manifest serves as it is: the utterances of clip1 are clip1/0, …\n"
    "  .csv    columns name and openset, a list as text: \"['happy', 'sad']\"\n"
    "  .npz    arrays filenames and fileitems of the same\n"
    "Every truth needs a prediction. Predictions without a truth are an error without --metric, and listed beside it.\n"
    "\n"
    "Examples:\n"
    "  microemo score runs/full/eval/predictions.jsonl data/synth/test.jsonl\n"
    "  microemo score model-openset.npz check-openset.csv --metric ew2026-l1 --metric ew2025-l1 --wheels MERTools --json\n"
    "  microemo score predict-openset.csv check-openset.csv --metric mer2024-gpt --synonyms openset-synonym.zip\n"
    "  microemo score model-openset.npz label-6way.npz --dataset mer2023 --wheels MERTools\n"
    "  microemo score predictions.csv truth.csv --per-sample pairs.csv";

}  // namespace

void add_score_command(CLI::App& app, int&) {
  auto words = std::make_shared<Words>();
  CLI::App* command = app.add_subcommand("score", "Score a file of predicted labels against true labels, without a model");
  command->add_option("PRED", words->predictions, "Predicted labels: .jsonl, .csv or .npz (see below)")->required();
  command->add_option("GT", words->truths, "True labels: .jsonl (a manifest, too), .csv or .npz")->required();
  command->add_option("--metric", words->metrics, "A metric of the public benchmarks (see below); may be given several times")
      ->type_name("NAME")
      ->allow_extra_args(false);
  command->add_option("--synonyms", words->synonyms, "Cached groupings for mer2024-gpt")->type_name("ZIP");
  command
      ->add_option(
          "--wheel", words->wheel,
          "Without --metric: a file like data/wheels/microemo.csv, which is the default, or a folder of MERTools' wheels")
      ->type_name("PATH");
  command
      ->add_option(
          "--dataset", words->dataset,
          "A set of MER-UniBench in the place of --metric: mer2023, mer2024, meld, iemocapfour, cmumosi, cmumosei, sims, "
          "simsv2 or ovmerdplus; GT may be its public label file")
      ->type_name("NAME");
  command->add_option("--per-sample", words->per_sample, "Also write the score of every item, and what its labels became")
      ->type_name("FILE.csv");
  command->add_option("--per-class", words->per_class, "Also write the scores of every class of the wheels")
      ->type_name("FILE.csv");
  command->add_option("--confusion", words->confusion, "Also write which class of the wheels was taken for which")
      ->type_name("FILE.csv");
  add_benchmark_options(*command, *words);
  command
      ->add_option("--clusters", words->clusters,
                   "What resamples draw with --metric: clip, dialogue or speaker; best is the first of dialogue and speaker that "
                   "every truth names, otherwise clip")
      ->check(CLI::IsMember({"best", "clip", "dialogue", "speaker"}))
      ->capture_default_str();
  command->add_flag(
      "--timeline", words->timeline,
      "Score over time: both files are manifests or answers whose utterances have start_s, end_s and labels or answer");
  command->add_flag(
      "--explanations", words->explanations,
      "Score texts: the visual, acoustic and lexical clues of GT's texts that PRED's name, and PRED's labels against "
      "its texts");
  command->add_option("--judge", words->judge, "With --explanations: kept answers of a judge, a line {\"id\", \"answer\"} each")
      ->type_name("FILE.jsonl");
  command->add_flag("--json", words->json, "Print JSON");
  command->footer(footer);
  command->callback([words] { run(*words); });
}

}  // namespace microemo::cli
