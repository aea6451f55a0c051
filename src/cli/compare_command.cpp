#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>
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
#include "microemo/base/json.h"
#include "microemo/base/log.h"
#include "microemo/base/progress.h"
#include "microemo/cli/commands.h"
#include "microemo/data/manifest.h"
#include "microemo/eval/comparison.h"
#include "microemo/eval/provenance.h"
#include "microemo/media/frame_reader.h"
#include "microemo/report/clip_frames.h"
#include "microemo/report/comparison_page.h"
#include "microemo/report/table.h"
#include "numbers.h"
#include "overwritten.h"
#include "whole_number.h"

namespace microemo::cli {
namespace {

namespace fs = std::filesystem;

constexpr int picture_height = 120;

struct Words {
  std::vector<std::string> evaluations;
  std::string wheel, html, manifest;
  int64_t resamples = 1000, most = 10;
  uint64_t seed = 0;
  bool json = false, despite_differences = false;
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

/// Adds what made the labels to `extractors`.
std::vector<eval::LabelPair> read_pairs(const fs::path& file, eval::LabelNames& extractors, eval::PairClusters& clusters) {
  std::vector<std::string> dialogues, speakers;
  std::vector<eval::LabelPair> pairs;
  std::set<std::string> ids;
  read_jsonl(file, [&](const Json& line, int64_t number) {
    if (const auto id = json_get<std::string>(line, "id", file, number); !ids.insert(id).second)
      throw DataError("the id '{}' stands a second time", id).where(file, number).hint("give every id one line");
    dialogues.push_back(json_get_or<std::string>(line, "dialogue", "", file, number));
    speakers.push_back(json_get_or<std::string>(line, "speaker", "", file, number));
    extractors.insert(json_get_or<std::string>(line, "extractor", std::string(eval::given_labels), file, number));
    pairs.push_back({json_get<std::string>(line, "id", file, number), json_get<std::string>(line, "clip", file, number),
                     json_get<std::vector<std::string>>(line, "truth", file, number),
                     json_get<std::vector<std::string>>(line, "labels", file, number)});
  });
  clusters = eval::best_clusters(std::move(dialogues), std::move(speakers));
  return pairs;
}

std::string joined(const std::vector<std::string>& labels) {
  return labels.empty() ? "-" : fmt::format("{}", fmt::join(labels, ", "));
}

/// What is compared, read and computed.
struct Compared {
  std::vector<fs::path> folders;
  std::vector<eval::ComparedRun> runs;
  eval::PairClusters clusters;
  std::vector<eval::Provenance> provenances;  ///< as the folders name it; the wheel is that of their own scores
  eval::EmotionWheel wheel;
  eval::Comparison comparison;

  const eval::LabelPair& pair(size_t run, size_t item) const {
    const std::string& id = runs[0].pairs[item].id;
    return *std::ranges::find(runs[run].pairs, id, &eval::LabelPair::id);
  }
};

/// The extractor is that of the labels, which may have been written again since.
eval::Provenance provenance_of(const fs::path& folder, const eval::LabelNames& extractors) {
  const fs::path scores = folder / "scores.json";
  eval::Provenance provenance = eval::provenance_in(fs::exists(scores) ? read_json(scores) : Json::object());
  provenance.extractor = eval::names_of(extractors);
  return provenance;
}

/// "extractor: rules-1 (first), mertools-1:m (second)" for everything that differs and that scores depend on.
std::vector<std::string> differences_of(const Compared& compared) {
  std::vector<std::string> differences;
  const auto look = [&](const char* what, std::string eval::Provenance::*part, size_t shown) {
    const auto differs = [&](const eval::Provenance& other) { return other.*part != compared.provenances[0].*part; };
    if (std::ranges::none_of(compared.provenances, differs)) return;
    std::vector<std::string> values;
    for (size_t i = 0; i < compared.runs.size(); ++i)
      values.push_back(fmt::format("{} ({})", (compared.provenances[i].*part).substr(0, shown), compared.runs[i].name));
    differences.push_back(fmt::format("{}: {}", what, fmt::join(values, ", ")));
  };
  look("extractor", &eval::Provenance::extractor, std::string::npos);
  look("wheel of their own scores", &eval::Provenance::wheel_release, std::string::npos);
  look("data", &eval::Provenance::data_version, 16);
  look("split", &eval::Provenance::split, std::string::npos);
  return differences;
}

void refuse_differences(const Compared& compared, const Words& words) {
  const std::vector<std::string> differences = differences_of(compared);
  if (differences.empty() || words.despite_differences) return;
  throw ConfigError("the evaluations were not made in the same way; {}", fmt::join(differences, "; "))
      .at("command line")
      .hint("evaluate them again alike, or give --despite-differences: then the differences stand beside the numbers");
}

Compared load(const Words& words) {
  if (words.evaluations.size() < 2) throw ConfigError("one evaluation has nothing to be compared with").hint("name two or more");
  Compared compared;
  for (const std::string& named : words.evaluations) compared.folders.push_back(evaluation_folder(named).lexically_normal());
  const std::vector<std::string> names = short_names(compared.folders);
  for (size_t i = 0; i < names.size(); ++i) {
    eval::LabelNames extractors;
    eval::PairClusters clusters;
    compared.runs.push_back({names[i], read_pairs(compared.folders[i] / "labels.jsonl", extractors, clusters)});
    if (i == 0) compared.clusters = clusters;
    compared.provenances.push_back(provenance_of(compared.folders[i], extractors));
  }
  refuse_differences(compared, words);
  compared.wheel = eval::load_wheel(words.wheel.empty() ? eval::own_wheel_path() : fs::path(words.wheel));
  compared.comparison =
      eval::compare(compared.runs, compared.wheel, {.resamples = words.resamples, .seed = words.seed}, compared.clusters);
  return compared;
}

report::Table score_table(const Compared& compared) {
  report::Table table{{"evaluation", "wheel F", "95 % interval", "difference", "95 % interval", "p", "p (Holm)"}, {}};
  for (size_t i = 0; i < compared.runs.size(); ++i) {
    table.rows.push_back(
        {compared.runs[i].name, number(compared.comparison.f[i], 3), between(compared.comparison.intervals[i], 3)});
    if (i == 0) {
      table.rows.back().insert(table.rows.back().end(), {"", "", "", ""});
      continue;
    }
    const auto& [run, test, holm] = compared.comparison.against_first[i - 1];
    table.rows.back().insert(table.rows.back().end(), {fmt::format("{:+.3f}", test.difference), between(test.interval, 3),
                                                       fmt::format("{:.4f}", test.p_value), fmt::format("{:.4f}", holm)});
  }
  return table;
}

std::vector<std::string> notes(const Compared& compared, const Words& words) {
  eval::Provenance made_from = compared.provenances[0];
  made_from.wheel_release = eval::release_name(compared.wheel);
  std::vector<std::string> notes = {
      fmt::format("mean wheel F over {} (clip, utterance) pairs; wheel {} ({})", compared.runs[0].pairs.size(),
                  compared.wheel.name, compared.wheel.path.string()),
      eval::to_text(made_from),
      fmt::format("intervals: bootstrap over {0}s; p: paired randomisation over {0}s, two-sided; {1} resamples, seed {2}",
                  compared.clusters.kind, words.resamples, words.seed)};
  for (const std::string& difference : differences_of(compared)) notes.push_back("not alike: " + difference);
  return notes;
}

std::string difference_table(const Compared& compared, int64_t most) {
  report::Table table{{"utterance", "true labels"}, {}};
  for (const auto& run : compared.runs) table.head.insert(table.head.end(), {run.name, "F"});
  for (const eval::ItemScores& item : compared.comparison.items) {
    if (int64_t(table.rows.size()) == most || !(item.spread > 0)) break;
    const eval::LabelPair& truth = compared.runs[0].pairs[item.item];
    table.rows.push_back({truth.id, joined(truth.truth)});
    for (size_t run = 0; run < compared.runs.size(); ++run)
      table.rows.back().insert(table.rows.back().end(),
                               {joined(compared.pair(run, item.item).predicted), number(item.f[run], 3)});
  }
  if (table.rows.empty()) return "The evaluations differ on no utterance.\n";
  return "Where they differ most:\n\n" + report::format_table(table);
}

Json number_or_null(double value) { return std::isnan(value) ? Json() : Json(value); }

Json interval_json(const eval::Interval& of) { return {number_or_null(of.low), number_or_null(of.high)}; }

Json to_json(const Compared& compared, const Words& words) {
  Json json = {{"metric", "mean wheel F over (clip, utterance) pairs"},
               {"wheel", compared.wheel.name},
               {"wheel_release", eval::release_name(compared.wheel)},
               {"not_alike", differences_of(compared)},
               {"pairs", compared.runs[0].pairs.size()},
               {"clusters", compared.clusters.kind},
               {"resamples", words.resamples},
               {"seed", words.seed},
               {"evaluations", Json::array()},
               {"against_first", Json::array()},
               {"differences", Json::array()}};
  for (size_t i = 0; i < compared.runs.size(); ++i) {
    json["evaluations"].push_back({{"name", compared.runs[i].name},
                                   {"folder", compared.folders[i].string()},
                                   {"f_score", number_or_null(compared.comparison.f[i])},
                                   {"interval", interval_json(compared.comparison.intervals[i])}});
    Json made_from = eval::to_json(compared.provenances[i]);
    made_from["wheel_release"] = eval::release_name(compared.wheel);
    json["evaluations"].back().update(made_from);
  }
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
fs::path manifest_file(const Compared& compared, const Words& words) {
  if (!words.manifest.empty()) return words.manifest;
  const fs::path scores = compared.folders[0] / "scores.json";
  const fs::path manifest = json_get<std::string>(read_json(scores), "manifest", scores);
  if (!fs::exists(manifest))
    throw DataError("the manifest that was evaluated is not there").where(manifest).hint("name it with --manifest");
  return manifest;
}

/// Its words and times may no longer be those that the answers are about.
std::vector<std::string> changes_of(const data::Manifest& manifest, const eval::Provenance& evaluated) {
  if (evaluated.data_version.empty() || evaluated.data_version == manifest.hash) return {};
  return {fmt::format("the manifest {} is not the one that was evaluated, or was changed since", manifest.path.string())};
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

media::Image as_high_as_shown(const media::Image& image) {
  return media::resize(image, std::max(1, image.width * picture_height / image.height), picture_height);
}

/// Adds three frames of an utterance, at the middle of each third, and the face in each.
void add_pictures(const data::Clip& clip, const data::Utterance& utterance, report::ComparedUtterance& shown) {
  if (clip.video.empty() || !media::probe(data::media_of(clip)).has_video) return;
  // The evaluations have decided whether a clip may be partial.
  media::FrameReader reader(data::media_of(clip), {.limits = {.partial = true}});
  std::vector<int64_t> frames;
  for (const double part : {1.0 / 6, 0.5, 5.0 / 6})
    frames.push_back(reader.shown_at(
        std::clamp(utterance.start_s + part * (utterance.end_s - utterance.start_s), 0.0, reader.frames().back().seconds)));
  for (const media::VideoFrame& frame : reader.read(frames)) {
    shown.pictures.push_back(as_high_as_shown(frame.rgb));
    const media::Image face = report::best_face(frame.rgb);
    shown.faces.push_back(face.width == 0 ? face : as_high_as_shown(face));
  }
}

/// An utterance by the id of its pair; the whole clip where the id is the clip's.
report::ComparedUtterance describe(const data::Manifest& manifest, const eval::LabelPair& pair) {
  report::ComparedUtterance shown{
      .id = pair.id, .when = {}, .transcript = {}, .truth = joined(pair.truth), .pictures = {}, .faces = {}, .answers = {}};
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
    add_pictures(*clip, utterance, shown);
  }
  return shown;
}

void write_page(const Compared& compared, const Words& words) {
  const data::Manifest manifest = data::read_manifest(manifest_file(compared, words));
  std::vector<Answers> answers;
  for (const fs::path& folder : compared.folders) answers.push_back(read_answers(folder));
  const report::Table table = score_table(compared);
  report::ComparisonPage page{
      .title = fmt::format("{} evaluations of {}", compared.runs.size(), manifest.path.filename().string()),
      .notes = notes(compared, words),
      .head = table.head,
      .rows = table.rows,
      .utterances = {}};
  for (const std::string& change : changes_of(manifest, compared.provenances[0])) {
    page.notes.push_back(change);
    log_warning(change);
  }
  Progress progress("page", "utterances", words.most);
  for (const eval::ItemScores& item : compared.comparison.items) {
    if (int64_t(page.utterances.size()) == words.most) break;
    report::ComparedUtterance shown = describe(manifest, compared.runs[0].pairs[item.item]);
    for (size_t run = 0; run < compared.runs.size(); ++run)
      shown.answers.push_back({compared.runs[run].name, answers[run][shown.id], joined(compared.pair(run, item.item).predicted),
                               number(item.f[run], 3)});
    page.utterances.push_back(std::move(shown));
    progress.add();
  }
  write_file_atomic(words.html, report::comparison_html(page));
}

void keep_inputs(const Compared& compared, const Words& words) {
  std::vector<fs::path> read = {words.manifest, words.wheel};
  for (const fs::path& folder : compared.folders)
    for (const char* name : {"labels.jsonl", "answers.jsonl", "scores.json"}) read.push_back(folder / name);
  if (!words.html.empty()) read.push_back(manifest_file(compared, words));
  refuse_to_overwrite("--html", words.html, read);
}

void run(const Words& words) {
  const Compared compared = load(words);
  keep_inputs(compared, words);
  if (!words.html.empty()) write_page(compared, words);
  if (words.json) {
    std::printf("%s\n", json_text(to_json(compared, words)).c_str());
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
  command->add_option("--html", words->html, "Also write a page: answers beside frames, faces, words and true labels")
      ->type_name("FILE.html");
  command->add_option("--manifest", words->manifest, "The evaluated manifest, where it is no longer where it was; for --html")
      ->type_name("FILE");
  command->add_option("--most", words->most, "Utterances that are shown")->check(CLI::Range(1, 1 << 20))->capture_default_str();
  command->add_option("--resamples", words->resamples, "Resamples of intervals and tests")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  command->add_option("--seed", words->seed, "Seed of the resamples")->check(whole_number<uint64_t>)->capture_default_str();
  command->add_flag("--despite-differences", words->despite_differences,
                    "Compare evaluations of other extractors, wheels, data or splits, too, and say so beside the numbers");
  command->add_flag("--json", words->json, "Print JSON");
  command->footer(
      "Examples:\n"
      "  microemo compare runs/full/eval/test-step-00001000 runs/no-face/eval/test-step-00001000\n"
      "  microemo compare runs/full runs/no-face runs/no-sound --html differences.html --most 50");
  command->callback([words] { run(*words); });
}

}  // namespace microemo::cli
