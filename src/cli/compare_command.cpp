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

#include "microemo/base/error.h"
#include "microemo/base/files.h"
#include "microemo/base/json.h"
#include "microemo/base/progress.h"
#include "microemo/cli/commands.h"
#include "microemo/data/manifest.h"
#include "microemo/eval/comparison.h"
#include "microemo/media/frame_reader.h"
#include "microemo/report/comparison_page.h"
#include "microemo/report/table.h"

namespace microemo::cli {
namespace {

namespace fs = std::filesystem;

constexpr int picture_height = 120;

struct Words {
  std::vector<std::string> evaluations;
  std::string wheel, html, manifest;
  int64_t resamples = 1000, most = 10;
  uint64_t seed = 0;
  bool json = false;
};

/// The folder of one evaluation: as it is named, or the only one of a run.
fs::path evaluation_folder(const fs::path& named) {
  if (fs::exists(named / "labels.jsonl")) return named;
  std::vector<std::string> found;
  std::error_code trouble;
  for (const auto& entry : fs::directory_iterator(named / "eval", trouble))
    if (fs::exists(entry.path() / "labels.jsonl")) found.push_back(entry.path().string());
  std::ranges::sort(found);
  if (found.size() == 1) return found.front();
  if (!found.empty())
    throw ConfigError("the run has {} evaluations: {}", found.size(), fmt::join(found, ", "))
        .where(named)
        .hint("name one of them");
  throw DataError("this is no evaluation: it holds no labels.jsonl").where(named).hint("name a folder that microemo eval wrote");
}

/// Names by which the folders can be told apart: their last parts, as many as it takes.
std::vector<std::string> short_names(const std::vector<fs::path>& folders) {
  for (size_t parts = 1;; ++parts) {
    std::vector<std::string> names;
    bool whole = true;
    for (const fs::path& folder : folders) {
      std::vector<fs::path> steps(folder.begin(), folder.end());
      std::erase_if(steps, [](const fs::path& step) { return step.empty(); });
      fs::path name;
      for (size_t i = steps.size() - std::min(parts, steps.size()); i < steps.size(); ++i) name /= steps[i];
      whole = whole && parts >= steps.size();
      names.push_back(name.string());
    }
    std::vector<std::string> sorted = names;
    std::ranges::sort(sorted);
    if (whole || std::ranges::adjacent_find(sorted) == sorted.end()) return names;
  }
}

std::vector<eval::LabelPair> read_pairs(const fs::path& file) {
  std::vector<eval::LabelPair> pairs;
  read_jsonl(file, [&](const Json& line, int64_t number) {
    pairs.push_back({json_get<std::string>(line, "id", file, number), json_get<std::string>(line, "clip", file, number),
                     json_get<std::vector<std::string>>(line, "truth", file, number),
                     json_get<std::vector<std::string>>(line, "labels", file, number)});
  });
  return pairs;
}

std::string number(double value) { return std::isnan(value) ? "-" : fmt::format("{:.3f}", value); }

std::string between(const eval::Interval& of) { return fmt::format("[{}, {}]", number(of.low), number(of.high)); }

std::string joined(const std::vector<std::string>& labels) {
  return labels.empty() ? "-" : fmt::format("{}", fmt::join(labels, ", "));
}

/// What is compared, read and computed.
struct Compared {
  std::vector<fs::path> folders;
  std::vector<eval::ComparedRun> runs;
  eval::EmotionWheel wheel;
  eval::Comparison comparison;

  const eval::LabelPair& pair(size_t run, size_t item) const {
    const std::string& id = runs[0].pairs[item].id;
    return *std::ranges::find(runs[run].pairs, id, &eval::LabelPair::id);
  }
};

Compared load(const Words& words) {
  if (words.evaluations.size() < 2) throw ConfigError("one evaluation has nothing to be compared with").hint("name two or more");
  Compared compared;
  for (const std::string& named : words.evaluations) compared.folders.push_back(evaluation_folder(named).lexically_normal());
  const std::vector<std::string> names = short_names(compared.folders);
  for (size_t i = 0; i < names.size(); ++i) compared.runs.push_back({names[i], read_pairs(compared.folders[i] / "labels.jsonl")});
  compared.wheel = eval::load_wheel(words.wheel.empty() ? eval::own_wheel_path() : fs::path(words.wheel));
  compared.comparison = eval::compare(compared.runs, compared.wheel, {.resamples = words.resamples, .seed = words.seed});
  return compared;
}

report::Table score_table(const Compared& compared) {
  report::Table table{{"evaluation", "wheel F", "95 % interval", "difference", "95 % interval", "p", "p (Holm)"}, {}};
  for (size_t i = 0; i < compared.runs.size(); ++i) {
    table.rows.push_back({compared.runs[i].name, number(compared.comparison.f[i]), between(compared.comparison.intervals[i])});
    if (i == 0) {
      table.rows.back().insert(table.rows.back().end(), {"", "", "", ""});
      continue;
    }
    const auto& [run, test, holm] = compared.comparison.against_first[i - 1];
    table.rows.back().insert(table.rows.back().end(), {fmt::format("{:+.3f}", test.difference), between(test.interval),
                                                       fmt::format("{:.4f}", test.p_value), fmt::format("{:.4f}", holm)});
  }
  return table;
}

std::vector<std::string> notes(const Compared& compared, const Words& words) {
  return {fmt::format("mean wheel F over {} (clip, utterance) pairs; wheel {} ({})", compared.runs[0].pairs.size(),
                      compared.wheel.name, compared.wheel.path.string()),
          fmt::format("intervals: bootstrap over clips; p: paired randomisation over clips, two-sided; {} resamples, seed {}",
                      words.resamples, words.seed)};
}

std::string difference_table(const Compared& compared, int64_t most) {
  report::Table table{{"utterance", "true labels"}, {}};
  for (const auto& run : compared.runs) table.head.insert(table.head.end(), {run.name, "F"});
  for (const eval::ItemScores& item : compared.comparison.items) {
    if (int64_t(table.rows.size()) == most || !(item.spread > 0)) break;
    const eval::LabelPair& truth = compared.runs[0].pairs[item.item];
    table.rows.push_back({truth.id, joined(truth.truth)});
    for (size_t run = 0; run < compared.runs.size(); ++run)
      table.rows.back().insert(table.rows.back().end(), {joined(compared.pair(run, item.item).predicted), number(item.f[run])});
  }
  if (table.rows.empty()) return "The evaluations differ on no utterance.\n";
  return "Where they differ most:\n\n" + report::format_table(table);
}

Json number_or_null(double value) { return std::isnan(value) ? Json() : Json(value); }

Json interval_json(const eval::Interval& of) { return {number_or_null(of.low), number_or_null(of.high)}; }

Json to_json(const Compared& compared, const Words& words) {
  Json json = {{"metric", "mean wheel F over (clip, utterance) pairs"},
               {"wheel", compared.wheel.name},
               {"pairs", compared.runs[0].pairs.size()},
               {"resamples", words.resamples},
               {"seed", words.seed},
               {"evaluations", Json::array()},
               {"against_first", Json::array()},
               {"differences", Json::array()}};
  for (size_t i = 0; i < compared.runs.size(); ++i)
    json["evaluations"].push_back({{"name", compared.runs[i].name},
                                   {"folder", compared.folders[i].string()},
                                   {"f_score", number_or_null(compared.comparison.f[i])},
                                   {"interval", interval_json(compared.comparison.intervals[i])}});
  for (const auto& [run, test, holm] : compared.comparison.against_first)
    json["against_first"].push_back({{"name", compared.runs[run].name},
                                     {"difference", test.difference},
                                     {"interval", interval_json(test.interval)},
                                     {"p_value", test.p_value},
                                     {"p_value_holm", holm}});
  for (const eval::ItemScores& item : compared.comparison.items) {
    if (int64_t(json["differences"].size()) == words.most || !(item.spread > 0)) break;
    Json row = {{"id", compared.runs[0].pairs[item.item].id},
                {"truth", compared.runs[0].pairs[item.item].truth},
                {"f_scores", item.f},
                {"labels", Json::array()}};
    for (size_t run = 0; run < compared.runs.size(); ++run) row["labels"].push_back(compared.pair(run, item.item).predicted);
    json["differences"].push_back(std::move(row));
  }
  return json;
}

/// The manifest that the first evaluation was of.
data::Manifest manifest_of(const Compared& compared, const Words& words) {
  if (!words.manifest.empty()) return data::read_manifest(words.manifest);
  const fs::path scores = compared.folders[0] / "scores.json";
  const fs::path manifest = json_get<std::string>(read_json(scores), "manifest", scores);
  if (!fs::exists(manifest))
    throw DataError("the manifest that was evaluated is not there").where(manifest).hint("name it with --manifest");
  return data::read_manifest(manifest);
}

using Answers = std::map<std::string, std::string>;

Answers read_answers(const fs::path& folder) {
  Answers answers;
  const fs::path file = folder / "answers.jsonl";
  read_jsonl(file, [&](const Json& line, int64_t row) {
    answers[eval::utterance_id(json_get<std::string>(line, "clip", file, row), json_get<int64_t>(line, "utterance", file, row))] =
        json_get<std::string>(line, "answer", file, row);
  });
  return answers;
}

/// Three frames of an utterance, at the middle of each third.
std::vector<media::Image> pictures_of(const data::Clip& clip, const data::Utterance& utterance) {
  std::vector<media::Image> pictures;
  if (clip.video.empty() || !media::probe(clip.video).has_video) return pictures;
  media::FrameReader reader(clip.video);
  std::vector<int64_t> frames;
  for (const double part : {1.0 / 6, 0.5, 5.0 / 6})
    frames.push_back(reader.shown_at(
        std::clamp(utterance.start_s + part * (utterance.end_s - utterance.start_s), 0.0, reader.frames().back().seconds)));
  for (const media::VideoFrame& frame : reader.read(frames))
    pictures.push_back(
        media::resize(frame.rgb, std::max(1, frame.rgb.width * picture_height / frame.rgb.height), picture_height));
  return pictures;
}

/// An utterance by the id of its pair; the whole clip where the id is the clip's.
report::ComparedUtterance describe(const data::Manifest& manifest, const eval::LabelPair& pair) {
  report::ComparedUtterance shown{
      .id = pair.id, .when = {}, .transcript = {}, .truth = joined(pair.truth), .pictures = {}, .answers = {}};
  const auto clip = std::ranges::find(manifest.clips, pair.clip, &data::Clip::id);
  if (clip == manifest.clips.end())
    throw DataError("the manifest has no clip '{}'", pair.clip)
        .where(manifest.path)
        .hint("name the manifest that was evaluated with --manifest");
  for (size_t i = 0; i < clip->utterances.size(); ++i) {
    const data::Utterance& utterance = clip->utterances[i];
    if (eval::utterance_id(clip->id, int64_t(i)) != pair.id) continue;
    shown.when = fmt::format("{:.2f} to {:.2f} s", utterance.start_s, utterance.end_s);
    shown.transcript = utterance.text;
    shown.pictures = pictures_of(*clip, utterance);
  }
  return shown;
}

void write_page(const Compared& compared, const Words& words) {
  const data::Manifest manifest = manifest_of(compared, words);
  std::vector<Answers> answers;
  for (const fs::path& folder : compared.folders) answers.push_back(read_answers(folder));
  const report::Table table = score_table(compared);
  report::ComparisonPage page{
      .title = fmt::format("{} evaluations of {}", compared.runs.size(), manifest.path.filename().string()),
      .notes = notes(compared, words),
      .head = table.head,
      .rows = table.rows,
      .utterances = {}};
  Progress progress("page", "utterances", words.most);
  for (const eval::ItemScores& item : compared.comparison.items) {
    if (int64_t(page.utterances.size()) == words.most) break;
    report::ComparedUtterance shown = describe(manifest, compared.runs[0].pairs[item.item]);
    for (size_t run = 0; run < compared.runs.size(); ++run)
      shown.answers.push_back({compared.runs[run].name, answers[run][shown.id], joined(compared.pair(run, item.item).predicted),
                               number(item.f[run])});
    page.utterances.push_back(std::move(shown));
    progress.add();
  }
  write_file_atomic(words.html, report::comparison_html(page));
}

void run(const Words& words) {
  const Compared compared = load(words);
  if (!words.html.empty()) write_page(compared, words);
  if (words.json) {
    std::printf("%s\n", to_json(compared, words).dump(2).c_str());
    return;
  }
  std::printf("%s\n", report::format_table(score_table(compared)).c_str());
  for (const std::string& note : notes(compared, words)) std::printf("%s\n", note.c_str());
  std::printf("\n%s", difference_table(compared, words.most).c_str());
  if (!words.html.empty()) std::printf("\npage: %s\n", words.html.c_str());
}

}  // namespace

void add_compare_command(CLI::App& app, int&) {
  auto words = std::make_shared<Words>();
  CLI::App* command =
      app.add_subcommand("compare", "Compare evaluations of the same clips: scores, paired tests, where they differ");
  command
      ->add_option(
          "EVALUATION", words->evaluations,
          "Folders that microemo eval wrote, or runs with one evaluation; the first is what the others are compared with")
      ->required()
      ->type_name("");
  command->add_option("--wheel", words->wheel, "Emotion wheel, as for microemo eval; the own one without it")->type_name("PATH");
  command->add_option("--html", words->html, "Also write a page: answers beside frames, words and true labels")
      ->type_name("FILE.html");
  command->add_option("--manifest", words->manifest, "The evaluated manifest, where it is no longer where it was; for --html")
      ->type_name("FILE");
  command->add_option("--most", words->most, "Utterances that are shown")->check(CLI::Range(1, 1 << 20))->capture_default_str();
  command->add_option("--resamples", words->resamples, "Resamples of intervals and tests")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  command->add_option("--seed", words->seed, "Seed of the resamples")->check(CLI::NonNegativeNumber)->capture_default_str();
  command->add_flag("--json", words->json, "Print JSON");
  command->footer(
      "Examples:\n"
      "  microemo compare runs/full/eval/test-step-00001000 runs/no-face/eval/test-step-00001000\n"
      "  microemo compare runs/full runs/no-face runs/no-sound --html differences.html --most 50");
  command->callback([words] { run(*words); });
}

}  // namespace microemo::cli
