#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "microemo/base/config.h"
#include "microemo/base/error.h"
#include "microemo/base/json.h"
#include "microemo/cli/commands.h"
#include "microemo/data/prepared_cache.h"
#include "microemo/train/options.h"

namespace microemo::cli {
namespace {

struct Words {
  std::string cache;
  std::vector<std::string> keep, files, overrides;
  int workers = 0;
  bool fix = false, dry_run = false, json = false;
};

std::string mebibytes(int64_t bytes) { return fmt::format("{:.1f} MiB", double(bytes) / double(1 << 20)); }

std::string counted(int64_t count, const char* one, const char* many) {
  return fmt::format("{} {}", count, count == 1 ? one : many);
}

int verify(const Words& words) {
  const data::CacheCheck check = data::verify_cache(words.cache, words.fix, words.workers);
  Json damaged = Json::array();
  for (const data::DamagedEntry& entry : check.damaged)
    damaged.push_back({{"file", entry.file.string()}, {"message", entry.message}});
  const bool mended = words.fix || check.damaged.empty();
  if (words.json) {
    const Json json = {{"cache", words.cache},    {"entries", check.entries},
                       {"bytes", check.bytes},    {"without_hash", check.unsigned_entries},
                       {"damaged", damaged},      {"removed", words.fix ? check.damaged.size() : 0},
                       {"partial", check.partial}};
    std::printf("%s\n", json.dump(2).c_str());
    return mended ? 0 : exit_code(ErrorKind::data);
  }
  for (const data::DamagedEntry& entry : check.damaged) std::printf("%s: %s\n", entry.file.c_str(), entry.message.c_str());
  std::printf("%s, %s: %zu damaged%s\n", counted(check.entries, "entry", "entries").c_str(), mebibytes(check.bytes).c_str(),
              check.damaged.size(),
              words.fix && !check.damaged.empty()
                  ? " and removed; microemo prepare makes them anew, microemo train those of train.encoder_cache"
                  : "");
  if (check.unsigned_entries > 0)
    std::printf("%s of an earlier version without a hash: layout and numbers are checked, not every byte\n",
                counted(check.unsigned_entries, "entry", "entries").c_str());
  if (check.partial > 0)
    std::printf("%s of partial clips, whose files break off (prepare.partial=allow)\n",
                counted(check.partial, "entry", "entries").c_str());
  if (!mended)
    std::printf("remove them with --fix, and run microemo prepare again, or microemo train for those of train.encoder_cache\n");
  return mended ? 0 : exit_code(ErrorKind::data);
}

int prune(const Words& words) {
  train::RunOptions options;
  load_config(options, {words.files.begin(), words.files.end()}, words.overrides);
  std::vector<data::Manifest> manifests;
  for (const std::string& manifest : words.keep) manifests.push_back(data::read_manifest(manifest));
  const data::CachePruning pruning = data::prune_cache(words.cache, manifests, {options.prepare}, words.dry_run);
  if (words.json) {
    const Json json = {{"cache", words.cache},
                       {"dry_run", words.dry_run},
                       {"kept", pruning.kept},
                       {"kept_bytes", pruning.kept_bytes},
                       {"removed", pruning.removed},
                       {"removed_bytes", pruning.removed_bytes},
                       {"unfinished", pruning.unfinished},
                       {"unfinished_bytes", pruning.unfinished_bytes},
                       {"foreign", pruning.foreign}};
    std::printf("%s\n", json.dump(2).c_str());
    return 0;
  }
  const char* verb = words.dry_run ? "would be removed" : "removed";
  std::printf("%s needed, %s\n", counted(pruning.kept, "entry", "entries").c_str(), mebibytes(pruning.kept_bytes).c_str());
  std::printf("%s %s, %s\n", counted(pruning.removed, "entry", "entries").c_str(), verb,
              mebibytes(pruning.removed_bytes).c_str());
  std::printf("%s older than a day %s, %s\n", counted(pruning.unfinished, "unfinished file", "unfinished files").c_str(), verb,
              mebibytes(pruning.unfinished_bytes).c_str());
  if (pruning.foreign > 0) std::printf("%s left alone: not of a cache\n", counted(pruning.foreign, "file", "files").c_str());
  return 0;
}

void add_verify(CLI::App& cache, const std::shared_ptr<Words>& words, int& status) {
  CLI::App* command =
      cache.add_subcommand("verify", "Read every entry and compare it with its hash; exit code 3 when one is damaged");
  command->add_option("CACHE", words->cache, "Folder of the cache")->required();
  command->add_flag(
      "--fix", words->fix,
      "Remove the damaged entries, so that microemo prepare makes them anew, or microemo train those of train.encoder_cache");
  command->add_option("--workers", words->workers, "Threads; 0 takes as many as the machine allows")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_flag("--json", words->json, "Print JSON");
  command->callback([words, &status] { status = verify(*words); });
}

void add_prune(CLI::App& cache, const std::shared_ptr<Words>& words, int& status) {
  CLI::App* command = cache.add_subcommand("prune", "Remove the entries that no manifest needs with these options");
  command->add_option("CACHE", words->cache, "Folder of the cache")->required();
  command->add_option("key=value", words->overrides, "Options, as microemo prepare takes them");
  command->add_option("--keep", words->keep, "JSONL manifests whose clips are needed")->required()->type_name("MANIFEST");
  command->add_option("--config", words->files, "YAML or JSON files, read from left to right: those of microemo prepare")
      ->type_name("FILE");
  command->add_flag("--dry-run", words->dry_run, "Remove nothing, and tell what would be");
  command->add_flag("--json", words->json, "Print JSON");
  command->footer(
      "An entry is needed when a clip of the manifests has it with these options; entries of other options go.\n"
      "Nothing is removed when a video cannot be read. Let no other process prepare into the cache meanwhile.\n\n"
      "Examples:\n  microemo cache prune cache --keep data/train.jsonl data/test.jsonl --config configs/quickstart/train.yaml "
      "--dry-run");
  command->callback([words, &status] { status = prune(*words); });
}

}  // namespace

void add_cache_command(CLI::App& app, int& status) {
  CLI::App* cache = app.add_subcommand("cache", "Look after a cache of prepared clips");
  cache->require_subcommand(1);
  add_verify(*cache, std::make_shared<Words>(), status);
  add_prune(*cache, std::make_shared<Words>(), status);
}

}  // namespace microemo::cli
