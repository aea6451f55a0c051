#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <CLI/CLI.hpp>

#include "json_text.h"
#include "microemo/base/error.h"
#include "microemo/base/files.h"
#include "microemo/base/nearest.h"
#include "microemo/cli/commands.h"
#include "microemo/eval/metric_name.h"
#include "microemo/eval/provenance.h"
#include "microemo/eval/unibench.h"
#include "microemo/formats/csv.h"
#include "microemo/report/table.h"
#include "numbers.h"
#include "overwritten.h"
#include "score_metrics.h"

namespace microemo::cli {
namespace {

namespace fs = std::filesystem;

struct Words : BenchmarkWords {
  std::string folder, csv;
  std::vector<std::string> sets;  ///< name, predictions and truths of each
  bool json = false;
};

/// The two files of one set.
struct SetFiles {
  std::string name;
  fs::path predictions, truths;
};

/// FOLDER/predictions.npz or with another end that files of labels have.
fs::path only_file(const fs::path& folder, const std::string& stem) {
  std::vector<std::string> found;
  for (const char* end : {".csv", ".jsonl", ".npz"})
    if (fs::exists(folder / (stem + end))) found.push_back(stem + end);
  if (found.size() == 1) return folder / found.front();
  throw DataError("{}", found.empty() ? fmt::format("there are no {}", stem)
                                      : fmt::format("there are several {}: {}", stem, fmt::join(found, ", ")))
      .where(folder)
      .hint(fmt::format("put one of {0}.npz, {0}.csv and {0}.jsonl there", stem));
}

std::vector<SetFiles> sets_in(const fs::path& folder) {
  std::vector<std::string> names, there;
  for (const eval::UniBenchSet& set : eval::unibench_sets()) names.push_back(set.name);
  std::error_code trouble;
  for (const auto& entry : fs::directory_iterator(folder, trouble))
    if (entry.is_directory()) there.push_back(entry.path().filename());
  if (trouble) throw DataError("the folder cannot be read: {}", trouble.message()).where(folder).hint("name a folder of sets");
  std::ranges::sort(there);
  std::vector<SetFiles> sets;
  for (const std::string& name : there) {
    if (std::ranges::find(names, name) == names.end()) {
      const std::string near = nearest_name(name, names);
      throw DataError("MER-UniBench has no set '{}'", name)
          .where(folder)
          .hint(fmt::format("{}its sets are {}", near.empty() ? "" : "did you mean " + near + "? ", fmt::join(names, ", ")));
    }
    sets.push_back({name, only_file(folder / name, "predictions"), only_file(folder / name, "truths")});
  }
  return sets;
}

std::vector<SetFiles> files_of(const Words& words) {
  std::vector<SetFiles> files;
  if (!words.folder.empty()) files = sets_in(words.folder);
  for (size_t i = 0; i + 2 < words.sets.size(); i += 3) {
    const std::string& name = words.sets[i];
    if (std::ranges::find(files, name, &SetFiles::name) != files.end())
      throw ConfigError("the set '{}' is named twice", name).at("--set").hint("name it once, or take its folder away");
    files.push_back({eval::unibench_set(name).name, words.sets[i + 1], words.sets[i + 2]});
  }
  if (files.empty())
    throw ConfigError("there is no set to score")
        .at("command line")
        .hint("name a folder with NAME/predictions.npz and NAME/truths.npz, or give --set NAME PRED GT");
  return files;
}

/// Its own metric first, and what the public code reports beside it.
Json score_set(const SetFiles& files, const Words& words) {
  const eval::UniBenchSet& set = eval::unibench_set(files.name);
  ScoreMetricsWords score;
  score.predictions = files.predictions;
  score.truths = files.truths;
  score.dataset = set.name;
  score.bootstrap = words.bootstrap;
  if (eval::needs_wheel(eval::parse_metric(set.metric))) score.wheels = words.wheels;
  const Json scores = score_files(score);
  Json json = scores.at(set.metric);
  json["score"] = json.contains("value") ? json["value"] : json["f_score"];
  json["beside"] = Json::object();
  for (const std::string& other : set.others) json["beside"][other] = scores.at(other).at("value");
  return json;
}

/// The benchmark's number is the mean of nine; of fewer sets there is none (AffectGPT, table 2).
Json summary_of(const Json& sets) {
  Json missing = Json::array();
  double sum = 0;
  bool whole = true;
  for (const eval::UniBenchSet& set : eval::unibench_sets()) {
    if (!sets.contains(set.name)) {
      missing.push_back(set.name);
      continue;
    }
    const Json& score = sets[set.name]["score"];
    whole = whole && score.is_number() && std::isfinite(score.get<double>());
    if (whole) sum += score.get<double>();
  }
  const bool has_mean = whole && missing.empty();
  return {{"mean", has_mean ? Json(sum / static_cast<double>(eval::unibench_sets().size())) : Json()}, {"missing", missing}};
}

/// What is not the same for all sets cannot be told in one word.
std::string extractors_of(const Json& sets) {
  eval::LabelNames names;
  for (const auto& [name, set] : sets.items()) names.insert(set["extractor"].get<std::string>());
  return eval::names_of(names);
}

double value_of(const Json& number) { return number.is_number() ? number.get<double>() : std::nan(""); }

report::Table table_of(const Json& result) {
  report::Table table{{"set", "metric", "n", "score", "interval", "beside", "wheel", "extractor", "data"}, {}};
  for (const eval::UniBenchSet& set : eval::unibench_sets()) {
    if (!result["sets"].contains(set.name)) continue;
    const Json& of = result["sets"][set.name];
    std::string beside;
    for (const auto& [name, value] : of["beside"].items())
      beside += fmt::format("{}{} {}", beside.empty() ? "" : ", ", name, number(value_of(value), 4));
    const Json& interval = of["interval"];
    table.rows.push_back({set.name, set.metric, of["n"].dump(), number(value_of(of["score"]), 4),
                          interval.is_null() ? "" : between({value_of(interval[0]), value_of(interval[1])}, 4), beside,
                          of["wheel_release"].is_null() ? "" : of["wheel_release"].get<std::string>(),
                          of["extractor"].get<std::string>(), of["data_version"].get<std::string>().substr(0, 12)});
  }
  return table;
}

void write_csv(const std::string& file, const Json& result) {
  std::vector<std::string> header{"set", "metric", "n", "score", "low", "high"};
  header.insert(header.end(), eval::provenance_columns.begin(), eval::provenance_columns.end());
  const auto text = [](const Json& value) {
    return value.is_string() ? value.get<std::string>() : value.is_null() ? "" : value.dump();
  };
  std::vector<std::vector<std::string>> rows;
  for (const auto& [name, of] : result["sets"].items()) {
    const Json& interval = of["interval"];
    rows.push_back({name, text(of["metric"]), text(of["n"]), text(of["score"]), interval.is_null() ? "" : text(interval[0]),
                    interval.is_null() ? "" : text(interval[1])});
    for (const std::string_view column : eval::provenance_columns) rows.back().push_back(text(of[std::string(column)]));
  }
  formats::write_csv(file, header, rows);
}

void run(const Words& words) {
  Json sets = Json::object();
  const std::vector<SetFiles> all = files_of(words);
  for (const SetFiles& files : all) refuse_to_overwrite("--csv", words.csv, {files.predictions, files.truths});
  for (const SetFiles& files : all) sets[files.name] = score_set(files, words);
  Json result = {{"benchmark", "MER-UniBench"}, {"extractor", extractors_of(sets)}, {"sets", sets}};
  result.update(summary_of(sets));
  if (!words.csv.empty()) write_csv(words.csv, result);
  if (words.json) {
    std::printf("%s\n", json_text(result).c_str());
    return;
  }
  std::printf("%s\n", report::format_table(table_of(result)).c_str());
  if (result["missing"].empty())
    std::printf("mean of the nine: %s\n", number(value_of(result["mean"]), 4).c_str());
  else
    std::printf("%zu of %zu sets; no mean of the nine without %s\n", sets.size(), eval::unibench_sets().size(),
                fmt::format("{}", fmt::join(result["missing"].get<std::vector<std::string>>(), ", ")).c_str());
  if (extractors_of(sets).find(" + ") != std::string::npos)
    std::printf("the labels are of several extractors: %s\n", extractors_of(sets).c_str());
}

constexpr const char* footer =
    "FOLDER holds a folder for each set that there is, mer2023 mer2024 meld iemocapfour cmumosi cmumosei sims simsv2 "
    "ovmerdplus,\n"
    "with predictions.npz and truths.npz (or .csv, .jsonl); the truths may be the public label file. Each is scored by its own\n"
    "metric and rules, as by score --dataset. Sets may come later: those that are missing are named, and the mean is that of "
    "nine.\n"
    "\n"
    "Examples:\n"
    "  microemo unibench results --wheels MERTools\n"
    "  microemo unibench --set sims sims-openset.npz label.npz --set mer2023 mer2023-openset.npz label-6way.npz --wheels "
    "MERTools";

}  // namespace

void add_unibench_command(CLI::App& app, int&) {
  auto words = std::make_shared<Words>();
  CLI::App* command = app.add_subcommand("unibench", "Score the nine sets of MER-UniBench, and their mean");
  command->add_option("FOLDER", words->folder, "A folder with a folder for each set (see below)")->type_name("");
  command->add_option("--set", words->sets, "One set: its name, the file of predictions and that of the truths")
      ->type_name("NAME PRED GT")
      ->type_size(3)
      ->allow_extra_args(false);
  command->add_option("--csv", words->csv, "Also write the table")->type_name("FILE.csv");
  add_benchmark_options(*command, *words);
  command->add_flag("--json", words->json, "Print JSON: every set's result as by score, the mean, and what is missing");
  command->footer(footer);
  command->callback([words] { run(*words); });
}

}  // namespace microemo::cli
