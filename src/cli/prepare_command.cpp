#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "microemo/base/config.h"
#include "microemo/base/error.h"
#include "microemo/base/json.h"
#include "microemo/base/progress.h"
#include "microemo/base/workers.h"
#include "microemo/cli/commands.h"
#include "microemo/data/manifest.h"
#include "microemo/data/prepared.h"
#include "microemo/train/options.h"
#include "out_of_memory.h"
#include "shard_word.h"

namespace microemo::cli {
namespace {

struct Words {
  std::string manifest, cache, shard;
  std::vector<std::string> files, overrides;
  data::PrepareRun run;
  int64_t megabytes = 0;
  bool json = false;
};

/// Of the clips that were not there.
double clips_per_second(const data::PrepareReport& report) {
  return report.elapsed_s > 0 ? double(report.done + report.skipped) / report.elapsed_s : 0;
}

double rounded(double value, int digits) {
  const double scale = std::pow(10.0, digits);
  return std::round(value * scale) / scale;
}

Json to_json(const data::PrepareReport& report, const std::string& cache) {
  return {{"cache", cache},
          {"clips", report.clips},
          {"done", report.done},
          {"already_there", report.already_there},
          {"skipped", report.skipped},
          {"reasons", Json(report.reasons)},
          {"stopped", report.stopped},
          {"elapsed_s", rounded(report.elapsed_s, 3)},
          {"clips_per_s", rounded(clips_per_second(report), 3)},
          {"media_s", report.seconds},
          {"source_frames", report.source_frames},
          {"face_frames", report.face_frames},
          {"faces_found", report.faces_found},
          {"without_picture", report.without_picture},
          {"without_sound", report.without_sound},
          {"without_face", report.without_face},
          {"partial", report.partial}};
}

void print_text(const data::PrepareReport& report, const std::string& cache) {
  const auto line = [](const std::string& text) { std::printf("%s\n", text.c_str()); };
  const auto clips = [](int64_t count) { return fmt::format("{} clip{}", count, count == 1 ? "" : "s"); };
  line(fmt::format("{} in {}: {} prepared, {} already there, {} skipped", clips(report.clips), cache, report.done,
                   report.already_there, report.skipped));
  const std::string faces = report.face_frames == 0
                                ? "no faces looked for"
                                : fmt::format("a face in {} of {} frames", report.faces_found, report.face_frames);
  line(fmt::format("{:.1f} minutes; {}", report.seconds / 60, faces));
  if (report.without_face > 0) line(fmt::format("{} in which no face was found", clips(report.without_face)));
  if (report.without_sound > 0) line(fmt::format("{} without sound", clips(report.without_sound)));
  if (report.without_picture > 0) line(fmt::format("{} without a picture", clips(report.without_picture)));
  if (report.partial > 0)
    line(fmt::format("{} partial, read up to where the file breaks off: {}/partial.jsonl", clips(report.partial), cache));
  for (const auto& [reason, count] : report.reasons) line(fmt::format("skipped, {}: {}", reason, clips(count)));
  if (report.skipped > 0) line(fmt::format("skipped clips and why: {}/skipped.jsonl", cache));
  line(fmt::format("{} at {:.2f} clips/s", duration_text(report.elapsed_s), clips_per_second(report)));
  if (report.stopped) line("stopped before the end; the same command goes on from here");
}

void print(const data::PrepareReport& report, const Words& words, const std::string& cache) {
  if (words.json)
    std::printf("%s\n", to_json(report, cache).dump(2).c_str());
  else
    print_text(report, cache);
}

/// Everything is saved, and threads hang that nothing can end but the process.
[[noreturn]] void end_process(const data::PrepareReport& report, const std::exception_ptr& failure, const Words& words,
                              const std::string& cache) {
  int code = report.stopped ? exit_code_resumable : 0;
  try {
    if (failure) std::rethrow_exception(failure);
    print(report, words, cache);
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    code = exit_code(error.kind());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", InternalError("{}", error.what()).what());
    code = exit_code(ErrorKind::internal);
  }
  std::fflush(stdout);
  std::_Exit(code);
}

int run(const Words& words) {
  train::RunOptions options;
  load_config(options, {words.files.begin(), words.files.end()}, words.overrides);
  const std::string cache = words.cache.empty() ? options.train.cache : words.cache;
  if (cache.empty()) throw ConfigError("no cache folder is named").hint("give --cache DIR, or train.cache in the configuration");
  const data::Manifest manifest = data::read_manifest(words.manifest);
  data::PrepareRun run = words.run;
  run.memory_bytes = words.megabytes << 20;
  if (const std::optional<Shard> shard = shard_of_word(words.shard)) run.shard = *shard;
  run.on_hang = [&](const data::PrepareReport& report, const std::exception_ptr& failure) {
    end_process(report, failure, words, cache);
  };
  const auto report = data::prepare_manifest(manifest, cache, options.prepare, run);
  print(report, words, cache);
  return report.stopped ? exit_code_resumable : 0;
}

/// Only what this command reads, under the keys of a run's configuration.
struct PrepareSection {
  data::PrepareOptions prepare;
};
template <class Visitor>
void describe(Visitor& option, PrepareSection& o) {
  option("prepare", o.prepare, "What is taken from a clip.");
}

}  // namespace

void add_prepare_command(CLI::App& app, int& status) {
  auto words = std::make_shared<Words>();
  CLI::App* command = app.add_subcommand(
      "prepare", "Decode clips, follow faces and keep what the model reads in a cache; goes on where it was stopped");
  command->add_option("MANIFEST", words->manifest, "JSONL manifest of the clips")->required();
  command->add_option("key=value", words->overrides, "Options, for instance prepare.face_size=96 (see below)");
  command->add_option("--cache", words->cache, "Folder of the cache; without it train.cache of the configuration")
      ->type_name("DIR");
  command->add_option("--config", words->files, "YAML or JSON files, read from left to right: those of microemo train serve")
      ->type_name("FILE");
  command->add_option("--workers", words->run.workers, "Threads; 0 takes as many as the machine allows")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command
      ->add_option("--shard", words->shard,
                   "Prepare one of N parts of the clips alone; the parts may share a cache at the same time, on any machines; "
                   "rank takes the part of this process among those of a launcher")
      ->type_name("I/N");
  command
      ->add_option(
          "--memory", words->megabytes,
          "MiB that the clips at work may take together, beside what the program takes without any: 80 for each worker "
          "without it. A clip that needs more than a worker's part is prepared alone, after the others; with --memory one "
          "that needs more than all is skipped")
      ->type_name("MIB")
      ->check(CLI::Range(16, 1 << 24));
  command
      ->add_option("--max-skipped", words->run.max_skipped,
                   "Share of clips that may be skipped; the run stops as soon as more are. Without it, and without "
                   "--max-skipped-clips, every clip is looked at, and one that is skipped is an error at the end")
      ->check(CLI::Range(0.0, 1.0));
  command->add_option("--max-skipped-clips", words->run.max_skipped_clips, "The same as a number of clips")
      ->check(CLI::NonNegativeNumber);
  command->add_flag("--json", words->json, "Print JSON");
  command->footer([] {
    PrepareSection defaults;
    return "Configuration:\n" + help_text(schema_of(defaults)) +
           "\nExamples:\n  microemo prepare data/train.jsonl --cache cache\n"
           "  microemo prepare data/train.jsonl --config configs/quickstart/train.yaml --workers 2 --max-skipped 0.01\n"
           "  microemo prepare data/train.jsonl --cache cache --shard 3/8\n";
  });
  command->callback([words, &status] {
    install_stop_signals();
    status = with_memory_for("preparing clips", "lower --workers", [&] { return run(*words); });
  });
}

}  // namespace microemo::cli
