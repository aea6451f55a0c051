#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <CLI/CLI.hpp>

#include "microemo/base/error.h"
#include "microemo/cli/commands.h"
#include "microemo/eval/score_table.h"
#include "microemo/report/table.h"

namespace microemo::cli {
namespace {

constexpr size_t most_labels = 10;

struct Words {
  std::string predictions, truths, wheel, pairs;
  eval::BootstrapOptions bootstrap;
  bool json = false;
};

void print(const std::string& line) { std::printf("%s\n", line.c_str()); }

std::string number(double value) { return std::isnan(value) ? "-" : fmt::format("{:.4f}", value); }

std::string with_interval(double value, const eval::Interval& interval) {
  return fmt::format("{}  [{}, {}]", number(value), number(interval.low), number(interval.high));
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

void print_text(const eval::ScoreTable& table) {
  print(fmt::format("wheel   {} ({}, sha256 {})", table.wheel, table.wheel_path.string(), table.wheel_hash.substr(0, 16)));
  print(fmt::format("pairs   {}; left out because the wheel knows none of their true labels: {}", table.pairs,
                    table.skipped.size()));
  print(fmt::format("pair F  {}   mean over pairs of each pair's F, over {}", with_interval(table.pair_f, table.pair_f_interval),
                    fmt::join(table.headline, ", ")));
  print(fmt::format("set F   {}   F of the averaged precision and recall", with_interval(table.set_f, table.set_f_interval)));
  print(fmt::format("        [{:g} % bootstrap interval over clips, {} resamples, seed {}]\n", 100 * table.bootstrap.confidence,
                    table.bootstrap.resamples, table.bootstrap.seed));
  report::Table rows{{"grouping", "pairs", "precision", "recall", "set F", "pair F"}, {}};
  for (const auto& [name, score] : table.groupings)
    rows.rows.push_back({name, std::to_string(score.pairs), number(score.precision), number(score.recall), number(score.f),
                         number(score.pair_f)});
  print(report::format_table(rows));
  print_unknown("true labels", table.unknown_truth);
  print_unknown("predicted labels", table.unknown_predicted);
}

Json file_json(const eval::LabelFile& file) { return {{"path", file.path.string()}, {"sha256", file.hash}}; }

void run(const Words& words) {
  const eval::EmotionWheel wheel =
      eval::load_wheel(words.wheel.empty() ? eval::own_wheel_path() : std::filesystem::path(words.wheel));
  const eval::LabelFile predictions = eval::read_label_file(words.predictions), truths = eval::read_label_file(words.truths);
  const std::vector<eval::LabelPair> pairs = eval::match_labels(predictions, truths);
  const eval::ScoreTable table = eval::score_predictions(pairs, wheel, words.bootstrap);
  if (!words.pairs.empty()) eval::write_pair_scores(words.pairs, pairs, wheel);
  if (!words.json) return print_text(table);
  Json json = {{"predictions", file_json(predictions)}, {"truths", file_json(truths)}};
  json.update(eval::to_json(table));
  print(json.dump(2));
}

constexpr const char* footer =
    "Files of labels (predictions and truths alike):\n"
    "  .jsonl  {\"id\": \"clip1/0\", \"labels\": [\"happy\"]} or {\"id\": …, \"answer\": \"The person feels happy.\"} a line;\n"
    "          a manifest serves as it is: the utterances of clip1 are clip1/0, clip1/1, …\n"
    "  .csv    columns name and openset, a list as text: \"['happy', 'sad']\"\n"
    "  .npz    arrays filenames and fileitems of the same\n"
    "Both files must hold the same ids.\n"
    "\n"
    "Examples:\n"
    "  microemo score runs/full/eval/predictions.jsonl data/synth/test.jsonl\n"
    "  microemo score model-openset.npz check-openset.csv --wheel MER2026/emotion_wheel --json\n"
    "  microemo score predictions.csv truth.csv --per-sample pairs.csv";

}  // namespace

void add_score_command(CLI::App& app, int&) {
  auto words = std::make_shared<Words>();
  CLI::App* command = app.add_subcommand("score", "Score a file of predicted labels against true labels, without a model");
  command->add_option("PRED", words->predictions, "Predicted labels: .jsonl, .csv or .npz (see below)")->required();
  command->add_option("GT", words->truths, "True labels: .jsonl (a manifest, too), .csv or .npz")->required();
  command
      ->add_option(
          "--wheel", words->wheel,
          "Emotion wheel: a file like data/wheels/microemo.csv, which is the default, or a folder of the MERTools wheels")
      ->type_name("PATH");
  command->add_option("--per-sample", words->pairs, "Also write the score of every pair")->type_name("FILE.csv");
  command->add_option("--resamples", words->bootstrap.resamples, "Resamples of the bootstrap intervals")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  command->add_option("--seed", words->bootstrap.seed, "Seed of the bootstrap")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_flag("--json", words->json, "Print JSON");
  command->footer(footer);
  command->callback([words] { run(*words); });
}

}  // namespace microemo::cli
