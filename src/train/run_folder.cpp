#include "microemo/train/run_folder.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include <ATen/Version.h>
#include <torch/headeronly/version.h>

#include "microemo/base/error.h"
#include "microemo/base/files.h"
#include "microemo/base/hash.h"
#include "microemo/base/log.h"
#include "microemo/checkpoint/folder.h"
#include "microemo/text/tokenizer.h"

namespace microemo::train {
namespace {

namespace fs = std::filesystem;

constexpr std::array description = {"config.json", "environment.json"};
constexpr std::array tokenizer_names = {"tokenizer", "time_tokenizer"};

/// They say where things are, what is shown and when is saved; the hashes of what lies there are compared instead.
constexpr std::array<std::string_view, 16> without_effect_on_result = {
    "train.manifest",  "train.valid_manifest", "train.valid_split",   "train.cache",        "train.tokenizer", "train.out",
    "train.log_every", "train.valid_every",    "train.save_every",    "train.save_minutes", "train.recompute", "train.keep_last",
    "train.threads",   "train.device",         "train.allow_missing", "train.graphs"};

void copy_tokenizer(const fs::path& source, const fs::path& folder, const std::string& name) {
  if (source.empty()) return;
  if (fs::is_regular_file(source) && source.extension() == ".model")
    return write_file_atomic(folder / (name + ".model"), read_file(source));
  fs::create_directories(folder / name);
  for (const fs::path& file : text::tokenizer_files(source)) write_file_atomic(folder / name / file.filename(), read_file(file));
}

void write_description(const fs::path& run, const ResolvedConfig& config, const Json& environment,
                       const RunTokenizers& tokenizers) {
  write_file_atomic(run / "config.yaml", config.yaml());
  write_json(run / "config.json", config.values);
  write_json(run / "environment.json", environment);
  copy_tokenizer(tokenizers.decoder, run, "tokenizer");
  copy_tokenizer(tokenizers.times, run, "time_tokenizer");
}

/// Limits and pieces of the communication; how many ranks there are is recorded with the environment.
constexpr std::string_view ranks_section = "train.ranks.", limits_section = "prepare.limits.";

bool decides_result(const std::string& key) {
  return !key.starts_with(ranks_section) && !key.starts_with(limits_section) &&
         std::find(without_effect_on_result.begin(), without_effect_on_result.end(), key) == without_effect_on_result.end();
}

std::string difference_text(const ConfigDifference& difference) {
  const auto text = [](const Json& value) { return value.is_null() ? std::string("nothing") : value.dump(); };
  return fmt::format("{} was {} and is {}", difference.key, text(difference.left), text(difference.right));
}

/// A cache of encoders may lie elsewhere, as others do; that there is one changes what steps round.
bool is_other_encoder_cache(const ConfigDifference& difference) {
  const auto is_set = [](const Json& value) { return value.is_string() && !value.get<std::string>().empty(); };
  return difference.key == "train.encoder_cache" && is_set(difference.left) == is_set(difference.right);
}

Json exact_part(const Json& environment) { return environment.value("exact", Json::object()); }

}  // namespace

Json environment_json(const RunEnvironment& environment, const std::vector<std::string>& command_line) {
  Json exact = {{"libtorch", TORCH_VERSION},
                {"cpu_capability", at::get_cpu_capability()},
                {"threads", environment.threads},
                {"device", environment.device},
                {"manifest", environment.manifest_hash},
                {"tokenizer", environment.tokenizer_hash},
                {"missing_clips", environment.missing_clips}};
  return {{"exact", std::move(exact)},
          {"microemo", MICROEMO_VERSION},
          {"ranks", environment.ranks},
          {"valid_manifest", environment.valid_manifest_hash},
          {"command", command_line}};
}

std::string hash_of(const RunTokenizers& tokenizers) {
  std::string text, only;
  int64_t count = 0;
  for (const auto& [name, source] : {std::pair(tokenizer_names[0], tokenizers.decoder), {tokenizer_names[1], tokenizers.times}}) {
    if (source.empty()) continue;
    for (const fs::path& file : text::tokenizer_files(source)) {
      only = sha256_file(file);
      text += fmt::format("{} {} {}\n", name, file.filename().string(), only);
      ++count;
    }
  }
  return count == 1 ? only : sha256(text);
}

void start_run_folder(const fs::path& run, const ResolvedConfig& config, const Json& environment,
                      const RunTokenizers& tokenizers) {
  if (!checkpoint::list_checkpoints(run).empty())
    throw ConfigError("the run folder holds a run with checkpoints")
        .where(run)
        .hint(fmt::format("continue it with --resume {}, or choose another train.out", run.string()));
  ensure_writable_folder(run);
  write_description(run, config, environment, tokenizers);
}

std::vector<std::string> differences(const Json& recorded_config, const Json& config, const Json& recorded_environment,
                                     const Json& environment) {
  std::vector<std::string> texts;
  // A key that has no effect now is not in `config`: what switches it off is.
  for (const ConfigDifference& difference : diff_configs(recorded_config, config))
    if (!difference.right.is_null() && decides_result(difference.key) && !is_other_encoder_cache(difference))
      texts.push_back(difference_text(difference));
  for (const ConfigDifference& difference : diff_configs(exact_part(recorded_environment), exact_part(environment)))
    texts.push_back(difference_text(difference));
  return texts;
}

void continue_run_folder(const fs::path& run, const ResolvedConfig& config, const Json& environment,
                         const RunTokenizers& tokenizers, bool allow_change) {
  const Json recorded = read_json(run / "environment.json");
  const std::vector<std::string> changes = differences(read_json(run / "config.json"), config.values, recorded, environment);
  if (!changes.empty() && !allow_change) {
    std::string list;
    for (const std::string& change : changes) list += "\n  " + change;
    throw ConfigError("the run would not continue as it began:{}", list)
        .where(run)
        .hint("undo the change, or give --allow-change to go on with it");
  }
  for (const std::string& change : changes) log_warning("the run goes on changed: " + change);
  if (recorded.value("microemo", "") != environment.value("microemo", ""))
    log_warning(
        fmt::format("the run was begun with microemo {}; another version may round otherwise", recorded.value("microemo", "")));
  const int64_t ranks = recorded.value("ranks", int64_t{1}), now = environment.value("ranks", int64_t{1});
  if (ranks != now)
    log_warning(
        fmt::format("the run goes on with {} ranks instead of {}: the same data in the same order, other roundings", now, ranks));
  write_description(run, config, environment, tokenizers);
}

void copy_description(const fs::path& run, const fs::path& checkpoint) {
  for (const char* name : description)
    if (fs::exists(run / name)) write_file_atomic(checkpoint / name, read_file(run / name));
  for (const char* name : tokenizer_names) copy_tokenizer(copied_tokenizer(run, name), checkpoint, name);
}

fs::path copied_tokenizer(const fs::path& run_or_checkpoint, const std::string& name) {
  const fs::path file = run_or_checkpoint / (name + ".model"), folder = run_or_checkpoint / name;
  if (fs::exists(file)) return file;
  return fs::exists(folder) ? folder : fs::path();
}

void write_outcome(const fs::path& run, const std::string& outcome, int64_t step, const std::string& reason) {
  write_json(run / "outcome.json", {{"outcome", outcome}, {"step", step}, {"reason", reason}});
}

}  // namespace microemo::train
