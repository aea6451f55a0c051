#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/version.h>
#include <CLI/CLI.hpp>

#include "eval_clusters.h"
#include "eval_environment.h"
#include "eval_rows.h"
#include "eval_tables.h"
#include "eval_words.h"
#include "json_text.h"
#include "microemo/base/config.h"
#include "microemo/base/device.h"
#include "microemo/base/files.h"
#include "microemo/base/freed_memory.h"
#include "microemo/base/hash.h"
#include "microemo/base/lock.h"
#include "microemo/base/log.h"
#include "microemo/base/workers.h"
#include "microemo/checkpoint/folder.h"
#include "microemo/cli/commands.h"
#include "microemo/eval/extract.h"
#include "microemo/infer/answer_shards.h"
#include "microemo/infer/evaluate.h"
#include "microemo/media/text_drawing.h"
#include "microemo/parallel/launch_context.h"
#include "microemo/report/bars.h"
#include "microemo/train/device.h"
#include "microemo/train/load_run.h"
#include "out_of_memory.h"
#include "rank_device.h"
#include "shard_word.h"

namespace microemo::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* metric_text = "mean wheel F over (clip, utterance) pairs";

struct EvalOptions {
  std::string run, manifest, split, cache, wheel, device = "auto";
  bool allow_missing = false, ema = false;
  int64_t resamples = 1000, threads = 1;
  data::ControlOptions controls;
  infer::GenerateOptions generate;
};
template <class Visitor>
void describe(Visitor& option, EvalOptions& o) {
  option("run", o.run, "Run or checkpoint folder; the first name on the command line goes before it.");
  option("manifest", o.manifest, "JSONL manifest; the second name on the command line goes before it.");
  option("split", o.split, "Evaluate the clips of this split; empty takes all.");
  option("cache", o.cache, "Folder of prepared features; empty takes that of the run.");
  option("wheel", o.wheel,
         "Emotion wheel: a file like data/wheels/microemo.csv, or a folder of the MERTools wheels; empty takes the own one.");
  option("allow_missing", o.allow_missing, "Leave out clips that are not in the cache, and list them, instead of stopping.");
  option("ema", o.ema, "Answer with the averaged weights of a run that has them (train.ema).");
  option("resamples", o.resamples, "Resamples of the bootstrap intervals.").min(1).max(1e6);
  option("device", o.device, "auto, cpu, cuda or cuda:N. Answers may depend on it.");
  option("threads", o.threads, "Threads of a matrix product. Answers may depend on it.").min(1).max(256);
  describe(option, o.controls);
  option("generate", o.generate, "How answers are written.");
}

struct Words {
  std::string run, manifest, out, checkpoint, checkpoints, wheel, grid, shard;
  std::vector<std::string> more;  ///< configuration files, and key=value
  EvalOptions options;
  bool json = false, merge = false;
};

/// What is evaluated, with everything loaded.
struct Evaluation {
  EvalOptions options;
  Device device;
  train::LoadedRun run;
  std::optional<infer::Shard> shard;  ///< the only part to answer
  fs::path run_folder, folder;
  std::unique_ptr<const FolderLock> lock;  ///< of the folder, or of the shard's
  data::Manifest manifest;
  data::Dataset dataset;
  std::vector<data::Sample> samples;  ///< those of the dataset, under the controls
  std::vector<data::Clip> clips;      ///< those of the dataset
  eval::EmotionWheel wheel;
};

/// Fills options, run and manifest.
void read_options(Words& words) {
  std::vector<std::string> all = words.more;
  all.insert(all.begin(), {words.run, words.manifest});
  std::erase(all, "");
  const EvalWords sorted = sort_eval_words(all);
  EvalOptions options;
  std::vector<std::string> overrides = sorted.changes;
  if (!sorted.run.empty()) overrides.push_back("run=" + sorted.run);
  if (!sorted.manifest.empty()) overrides.push_back("manifest=" + sorted.manifest);
  if (!words.wheel.empty()) overrides.push_back("wheel=" + words.wheel);
  load_config(options, {sorted.files.begin(), sorted.files.end()}, overrides);
  data::check_controls(options.controls);
  for (const auto& [name, value] : {std::pair("run", options.run), std::pair("manifest", options.manifest)})
    if (value.empty())
      throw ConfigError("no {} is named", name)
          .at("command line")
          .hint("give microemo eval RUN MANIFEST, or a configuration that has run and manifest");
  words.run = options.run;
  words.manifest = options.manifest;
  words.options = std::move(options);
}

/// --checkpoint names a folder, or one of the run's by its name.
fs::path checkpoint_of(const Words& words) {
  if (words.checkpoint.empty()) return words.run;
  const fs::path of_run = fs::path(words.run) / "checkpoints" / words.checkpoint;
  return fs::exists(of_run) ? of_run : fs::path(words.checkpoint);
}

fs::path output_folder(const Words& words, const Evaluation& evaluation) {
  if (!words.out.empty()) return words.out;
  if (evaluation.run_folder.empty())
    throw ConfigError("the evaluation has no folder").hint("give --out DIR: the checkpoint lies in no run folder");
  std::string name =
      fmt::format("{}-{}", evaluation.manifest.path.stem().string(), evaluation.run.checkpoint.filename().string());
  if (evaluation.options.ema) name += "-ema";
  if (const std::string control = data::control_name(evaluation.options.controls); !control.empty()) name += "-" + control;
  std::erase_if(name, [](char letter) { return letter == ',' || letter == ' '; });
  return evaluation.run_folder / "eval" / name;
}

/// Takes the folder, and what the controls leave of the clips.
void enter(Evaluation& evaluation, const fs::path& folder) {
  evaluation.lock.reset();
  evaluation.folder = folder;
  evaluation.lock =
      std::make_unique<const FolderLock>(evaluation.shard ? infer::shard_folder(folder, *evaluation.shard) : folder);
  evaluation.samples = evaluation.dataset.samples;
  const std::vector<std::string> same = data::apply_controls(evaluation.samples, evaluation.options.controls);
  if (!same.empty())
    log_warning(fmt::format("{} of {} clips have no words to change places, and stay as they are", same.size(),
                            evaluation.samples.size()));
}

data::Manifest of_split(data::Manifest manifest, const std::string& split) {
  if (split.empty()) return manifest;
  std::erase_if(manifest.clips, [&](const data::Clip& clip) { return clip.split != split; });
  if (manifest.clips.empty())
    throw DataError("no clip of the split '{}'", split)
        .where(manifest.path)
        .hint("set split to one that the manifest has, or to nothing for all clips");
  return manifest;
}

/// Only a shard that is the rank's own shares the machine with others.
std::string device_of(const Words& words, const std::string& device) {
  return words.shard == "rank" ? device_of_rank(device, parallel::launch_context(parallel::environment_variables())) : device;
}

Evaluation load(const Words& words) {
  Evaluation evaluation;
  evaluation.options = words.options;
  evaluation.device = choose_device(device_of(words, evaluation.options.device));
  evaluation.options.device = evaluation.device.cuda ? fmt::format("cuda:{}", evaluation.device.index) : "cpu";
  at::set_num_threads(int(evaluation.options.threads));
  evaluation.wheel =
      eval::load_wheel(evaluation.options.wheel.empty() ? eval::own_wheel_path() : fs::path(evaluation.options.wheel));
  evaluation.manifest = of_split(data::read_manifest(words.manifest), evaluation.options.split);
  evaluation.run = train::load_run(checkpoint_of(words), evaluation.options.ema, train::torch_device(evaluation.device));
  const fs::path above = evaluation.run.checkpoint.parent_path();
  if (above.filename() == "checkpoints") evaluation.run_folder = above.parent_path();
  evaluation.shard = shard_of_word(words.shard);
  const std::string& cache = evaluation.options.cache.empty() ? evaluation.run.options.train.cache : evaluation.options.cache;
  evaluation.dataset =
      model::looks_or_listens(evaluation.run.options.model)
          ? data::load_dataset(evaluation.manifest, cache, evaluation.run.options.prepare, evaluation.options.allow_missing)
          : data::load_words(evaluation.manifest);
  data::read_features(evaluation.dataset, evaluation.run.options.model.features);
  for (const std::string& clip : evaluation.dataset.missing) log_warning("left out, not in the cache: " + clip);
  for (const data::Sample& sample : evaluation.dataset.samples) evaluation.clips.push_back(sample.clip);
  return evaluation;
}

/// Everything that decides the answers.
Json identity_of(const Evaluation& evaluation) {
  return {{"checkpoint", sha256_file(evaluation.run.checkpoint / "manifest.json")},
          {"manifest", evaluation.dataset.manifest_hash},
          {"split", evaluation.options.split},
          {"clips", evaluation.clips.size()},
          {"ema", evaluation.options.ema},
          {"prepare", data::taken_options(evaluation.run.options.prepare)},
          {"controls", options_to_json(evaluation.options.controls)},
          {"max_new_tokens", evaluation.options.generate.max_new_tokens},
          {"sampling", options_to_json(evaluation.options.generate.sampling)},
          {"stop", evaluation.options.generate.stop},
          {"threads", evaluation.options.threads},
          {"device", device_text(evaluation.device)},
          {"cpu_capability", at::get_cpu_capability()},
          {"libtorch", TORCH_VERSION},
          {"microemo", MICROEMO_VERSION}};
}

/// The best fixed answer is found on what the run was trained on.
std::vector<std::string> labels_without_looking(const Evaluation& evaluation) {
  const train::TrainOptions& train = evaluation.run.options.train;
  if (!fs::exists(train.manifest)) {
    log_warning(fmt::format("no best fixed answer in the table: the training manifest {} is not there", train.manifest));
    return {};
  }
  std::vector<data::Clip> clips = data::read_manifest(train.manifest).clips;
  const bool has_splits = std::any_of(clips.begin(), clips.end(), [](const data::Clip& clip) { return !clip.split.empty(); });
  if (has_splits && !train.split.empty()) std::erase_if(clips, [&](const data::Clip& clip) { return clip.split != train.split; });
  return infer::best_fixed_labels(clips, evaluation.wheel);
}

std::vector<Arm> score_arms(const Evaluation& evaluation, const std::vector<eval::LabelPair>& pairs,
                            const eval::PairClusters& clusters) {
  const eval::BootstrapOptions bootstrap{.resamples = evaluation.options.resamples};
  std::vector<Arm> arms = {{"model", eval::score_predictions(pairs, evaluation.wheel, bootstrap, clusters)}};
  const std::vector<std::string> fixed = labels_without_looking(evaluation);
  if (!fixed.empty())
    arms.push_back({fmt::format("always \"{}\"", fmt::join(fixed, ", ")),
                    eval::score_predictions(infer::with_fixed_labels(pairs, fixed), evaluation.wheel, bootstrap, clusters)});
  return arms;
}

/// The split is the one that was asked for, else those that the clips name.
eval::Provenance provenance_of(const Evaluation& evaluation) {
  eval::LabelNames splits;
  for (const data::Clip& clip : evaluation.clips)
    if (!clip.split.empty()) splits.insert(clip.split);
  const eval::LabelSource predictions{{}, {}, {eval::rules_extractor_name(eval::own_lexicon())}, {}};
  const eval::LabelSource truths{evaluation.manifest.path, evaluation.dataset.manifest_hash, {}, splits};
  return eval::provenance_of(predictions, truths, &evaluation.wheel);
}

/// Writes every file that is made of the answers and returns the table for people.
std::pair<Json, std::string> write_scores(const Evaluation& evaluation, const std::vector<infer::AnswerRecord>& answers) {
  const auto cut =
      std::count_if(answers.begin(), answers.end(), [](const infer::AnswerRecord& answer) { return !answer.complete; });
  const eval::Provenance provenance = provenance_of(evaluation);
  Json json = {{"metric", metric_text}};
  json.update(eval::to_json(provenance));
  json.update({{"run", evaluation.run_folder.string()},
               {"checkpoint", evaluation.run.checkpoint.string()},
               {"step", evaluation.run.step},
               {"device", device_text(evaluation.device)},
               {"manifest", evaluation.manifest.path.string()},
               {"clips", evaluation.clips.size()},
               {"answers", answers.size()},
               {"answers_without_end", cut},
               {"controls", options_to_json(evaluation.options.controls)},
               {"missing_clips", evaluation.dataset.missing},
               {"partial_clips", evaluation.dataset.partial()}});
  std::string text = fmt::format("{} clips, {} answers, {} of them without an end after {} tokens\n", evaluation.clips.size(),
                                 answers.size(), cut, evaluation.options.generate.max_new_tokens);
  if (const auto partial = evaluation.dataset.partial(); !partial.empty())
    text += fmt::format("{} partial, read up to where the file breaks off: {}\n", partial.size(), fmt::join(partial, ", "));
  if (const std::string control = data::control_name(evaluation.options.controls); !control.empty())
    text += fmt::format("control: {}\n", control);
  const std::vector<eval::LabelPair> pairs = infer::label_pairs(evaluation.clips, answers);
  if (pairs.empty()) return {json, text + "The manifest knows no labels: there is nothing to score.\n"};

  const PairNames names = names_of(pairs, evaluation.clips);
  const std::vector<Arm> arms = score_arms(evaluation, pairs, eval::best_clusters(names.dialogues, names.speakers));
  const infer::Breakdown breakdown = infer::break_down(evaluation.clips, answers, evaluation.wheel);
  json["f_score"] = arms[0].scores.pair_f;
  if (arms.size() > 1) json["majority_f_score"] = arms[1].scores.pair_f;
  json["arms"] = Json::array();
  for (const Arm& arm : arms) {
    json["arms"].push_back({{"answers", arm.name}});
    json["arms"].back().update(eval::to_json(arm.scores));
  }
  json["channels"] = infer::to_json(breakdown);
  write_labels(evaluation.folder / "labels.jsonl", pairs, names, provenance.extractor);
  eval::write_pair_scores(evaluation.folder / "samples.csv", pairs, evaluation.wheel, provenance);
  media::write_png(evaluation.folder / "scores.png",
                   report::draw_bars(score_chart(evaluation.manifest.path.filename().string(), provenance, arms, breakdown)));
  return {json, text +
                    fmt::format("wheel: {} ({})\n{}\n{}\n\n", evaluation.wheel.name, evaluation.wheel.path.string(), metric_text,
                                eval::to_text(provenance)) +
                    arms_table(arms) + breakdown_table(breakdown)};
}

/// What an evaluation gave; nothing when it was stopped.
using Outcome = std::optional<std::pair<Json, std::string>>;

/// Writes the answers that are not there yet. False when a signal ended it early.
bool answer(const Evaluation& evaluation, const std::vector<data::Sample>& samples, infer::AnswerLog& log) {
  const data::BatchBuilder builder(evaluation.run.tokenizer, evaluation.run.options.model, evaluation.run.options.prepare,
                                   evaluation.run.options.prompt);
  write_json(log.folder() / "environment.json", eval_environment(evaluation.run, options_to_json(evaluation.options),
                                                                 evaluation.options.threads, evaluation.device));
  if (!log.records().empty()) log_info(fmt::format("{} answers are already there", log.records().size()));
  if (infer::answer_dataset(*evaluation.run.model, builder, samples, evaluation.options.generate, log)) return true;
  std::fprintf(stderr, "stopped after %zu answers; the same command goes on from here\n", log.records().size());
  return false;
}

/// The answers of one shard; the scores are those of all, and come with --merge.
int run_shard(const Evaluation& evaluation) {
  const fs::path folder = infer::shard_folder(evaluation.folder, *evaluation.shard);
  infer::AnswerLog log(folder, infer::shard_identity(identity_of(evaluation), *evaluation.shard));
  std::vector<data::Sample> samples;
  for (size_t clip = 0; clip < evaluation.samples.size(); ++clip)
    if (evaluation.shard->has(clip)) samples.push_back(evaluation.samples[clip]);
  if (!answer(evaluation, samples, log)) return exit_code_resumable;
  std::fprintf(stderr, "%zu clips, %zu answers: %s\n", samples.size(), log.records().size(), folder.c_str());
  return 0;
}

Outcome evaluate(const Evaluation& evaluation, bool merge = false) {
  infer::AnswerLog log(evaluation.folder, identity_of(evaluation));
  if (merge) infer::keep_merged(log, infer::merged_answers(evaluation.folder, identity_of(evaluation), evaluation.clips));
  if (!answer(evaluation, evaluation.samples, log)) return std::nullopt;
  auto scores = write_scores(evaluation, log.records());
  write_json(evaluation.folder / "scores.json", scores.first);
  write_file_atomic(evaluation.folder / "table.txt", scores.second);
  return scores;
}

/// Prints, and says where the rest lies.
void print(const Words& words, const Json& json, const std::string& text, const fs::path& folder) {
  if (words.json)
    std::printf("%s\n", json_text(json).c_str());
  else
    std::printf("%s\nanswers, labels, scores: %s\n", text.c_str(), folder.c_str());
}

/// Several evaluations side by side: files beside their folders.
void print_rows(const Words& words, const EvaluationRows& rows, const fs::path& folder) {
  write_json(folder / (rows.name + ".json"), to_json(rows));
  write_file_atomic(folder / (rows.name + ".txt"), rows_text(rows));
  media::write_png(folder / (rows.name + ".png"), report::draw_bars(rows_chart(rows)));
  print(words, to_json(rows), rows_text(rows), folder);
}

int run_grid(const Words& words) {
  Evaluation evaluation = load(words);
  const fs::path folder = output_folder(words, evaluation) += "-modalities";
  EvaluationRows rows{.name = "modalities", .title = "what the model is given"};
  for (const data::ControlOptions& controls : control_grid(evaluation.run.options.model, evaluation.options.controls)) {
    evaluation.options.controls = controls;
    const std::string name = controls.control == data::Control::question_only
                                 ? "question_only"
                                 : fmt::format("{}", fmt::join(controls.modalities, "+"));
    log_info("given: " + name);
    enter(evaluation, folder / name);
    const Outcome outcome = evaluate(evaluation);
    if (!outcome) return exit_code_resumable;
    rows.rows.push_back({name, evaluation.folder, outcome->first});
  }
  print_rows(words, rows, folder);
  return 0;
}

int run_checkpoints(const Words& words) {
  EvaluationRows rows{.name = "checkpoints", .title = "checkpoint"};
  const std::vector<fs::path> checkpoints = checkpoints_of_range(words.run, words.checkpoints);
  Words first = words;
  first.checkpoint = checkpoints.front().filename().string();
  Evaluation evaluation = load(first);
  const fs::path folder = words.out.empty()
                              ? evaluation.run_folder / "eval" / (evaluation.manifest.path.stem().string() + "-checkpoints")
                              : fs::path(words.out);
  for (const fs::path& checkpoint : checkpoints) {
    // The clips are the same for all: what a run reads of them does not change.
    if (checkpoint != checkpoints.front())
      evaluation.run = train::load_run(checkpoint, evaluation.options.ema, evaluation.run.model->device());
    const std::string name = checkpoint.filename().string();
    log_info("checkpoint: " + name);
    enter(evaluation, folder / name);
    const Outcome outcome = evaluate(evaluation);
    if (!outcome) return exit_code_resumable;
    rows.rows.push_back({name, evaluation.folder, outcome->first});
  }
  rows.over_checkpoints = true;
  print_rows(words, rows, folder);
  return 0;
}

int run(Words words) {
  keep_freed_memory();
  read_options(words);
  if (!words.grid.empty()) return run_grid(words);
  if (!words.checkpoints.empty()) return run_checkpoints(words);
  Evaluation evaluation = load(words);
  enter(evaluation, output_folder(words, evaluation));
  if (evaluation.shard) return run_shard(evaluation);
  const Outcome outcome = evaluate(evaluation, words.merge);
  if (!outcome) return exit_code_resumable;
  print(words, outcome->first, outcome->second, evaluation.folder);
  return 0;
}

constexpr const char* files =
    "The folder of an evaluation holds\n"
    "  answers.jsonl     every answer as the model wrote it     scores.json  all scores\n"
    "  labels.jsonl      the labels read from it, and the true  table.txt    what is printed\n"
    "  samples.csv       the score of every utterance           scores.png   the scores as bars\n"
    "  evaluation.json   what the answers depend on             shards/      the parts of --shard I/N\n"
    "  environment.json  versions, checkpoint, configuration and command line of the last call\n"
    "A stopped evaluation (exit code 75) goes on when the same command is run again; answers that are there are kept.\n";

}  // namespace

void add_eval_command(CLI::App& app, int& status) {
  auto words = std::make_shared<Words>();
  CLI::App* command =
      app.add_subcommand("eval", "Ask a trained model about every utterance of a manifest, and score its answers");
  command->add_option("RUN", words->run, "Run folder (its newest checkpoint), or a checkpoint folder");
  command->add_option("MANIFEST", words->manifest, "JSONL manifest; its clips have to be in the feature cache");
  command->add_option("CONFIG", words->more,
                      "YAML or JSON files, and key=value (see below); alone when they name run and manifest, too");
  command->add_option("--out", words->out, "Folder of the evaluation; RUN/eval/MANIFEST-CHECKPOINT without it")->type_name("DIR");
  command->add_option("--checkpoint", words->checkpoint, "Another checkpoint of the run, such as step-00000500");
  command
      ->add_option(
          "--checkpoints", words->checkpoints,
          "Evaluate the checkpoints of steps A, A+STEP, … B of the run, and tell the last, mean and deviation, and the best")
      ->type_name("A-B:STEP")
      ->excludes("--checkpoint");
  command
      ->add_option("--grid", words->grid,
                   "modalities: evaluate with every set of frames, face, sound and transcript that the model has")
      ->check(CLI::IsMember({"modalities"}))
      ->excludes("--checkpoints");
  command->add_option("--wheel", words->wheel, "The same as wheel=PATH")->type_name("PATH");
  CLI::Option* shard =
      command
          ->add_option(
              "--shard", words->shard,
              "Answer one of N parts alone, into shards/ of the folder, on any machine, at any time; rank takes the part of this "
              "process among those of a launcher")
          ->type_name("I/N")
          ->excludes("--grid")
          ->excludes("--checkpoints");
  command->add_flag("--merge", words->merge, "Take the answers from the shards, all of which must be there, and score them")
      ->excludes(shard)
      ->excludes("--grid")
      ->excludes("--checkpoints");
  command->add_flag("--json", words->json, "Print JSON");
  command->footer([] {
    EvalOptions defaults;
    return std::string(files) + "\nOptions:\n" + help_text(schema_of(defaults)) +
           "\nExamples:\n"
           "  microemo eval runs/one data/test.jsonl\n"
           "  microemo eval evaluation.yaml                          # run: and manifest: stand in it\n"
           "  microemo eval runs/one data/all.jsonl split=test generate.max_new_tokens=96 --json\n"
           "  microemo eval runs/one data/test.jsonl modalities=[frames,sound]\n"
           "  microemo eval runs/one data/test.jsonl control=mismatched_video\n"
           "  microemo eval runs/one data/test.jsonl --grid modalities\n"
           "  microemo eval runs/one data/test.jsonl --checkpoints 500-2000:500\n"
           "  microemo eval runs/one data/test.jsonl --shard 1/4     # … to 4/4, then\n"
           "  microemo eval runs/one data/test.jsonl --merge";
  });
  command->callback([words, &status] {
    media::check_font();  // of scores.png, which is drawn at the end of hours
    install_stop_signals();
    status =
        with_memory_for("evaluating", "lower generate.batch_clips, or evaluate a smaller split", [&] { return run(*words); });
  });
}

}  // namespace microemo::cli
