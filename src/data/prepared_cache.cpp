#include "microemo/data/prepared_cache.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <iterator>
#include <mutex>
#include <set>
#include <system_error>
#include <utility>

#include <ATen/ops/all.h>
#include <ATen/ops/isfinite.h>

#include "encoded_entry.h"
#include "microemo/base/error.h"
#include "microemo/base/progress.h"
#include "microemo/base/workers.h"
#include "microemo/base/write_error.h"
#include "microemo/formats/safetensors.h"
#include "prepared_hash.h"
#include "prepared_index.h"

namespace microemo::data {
namespace {

namespace fs = std::filesystem;

constexpr size_t name_length = 64;
constexpr std::chrono::hours unfinished_age{24};

bool is_hexadecimal(const std::string& text) { return text.find_first_not_of("0123456789abcdef") == std::string::npos; }

/// CACHE/ab/abcdef….safetensors.
bool is_entry(const fs::path& file) {
  const std::string name = file.stem().string();
  return file.extension() == ".safetensors" && name.size() == name_length && is_hexadecimal(name) &&
         file.parent_path().filename() == name.substr(0, 2);
}

/// As PendingFile names what it writes.
bool is_unfinished(const fs::path& file) {
  const std::string name = file.filename().string();
  return name.size() > 1 && name[0] == '.' && name.find(".tmp") != std::string::npos;
}

bool is_list(const fs::path& file) {
  const std::string name = file.filename().string();
  return name == "index.jsonl" || name == "index.lock" || name == "skipped.jsonl" || name == "partial.jsonl";
}

/// All files in the folder and those in it, in the order of their names.
std::vector<fs::path> files_of(const fs::path& cache) {
  std::error_code trouble;
  if (!fs::is_directory(cache, trouble)) throw DataError("there is no such cache").where(cache).hint("name its folder");
  std::vector<fs::path> files;
  for (fs::recursive_directory_iterator entry(cache, trouble), end; !trouble && entry != end; entry.increment(trouble))
    if (!entry->is_directory()) files.push_back(entry->path());
  if (trouble) throw DataError("the cache cannot be read: {}", trouble.message()).where(cache).hint("check its permissions");
  std::ranges::sort(files);
  return files;
}

/// 0 for a file that another process has just renamed or removed.
int64_t size_of(const fs::path& file) {
  std::error_code trouble;
  const auto size = fs::file_size(file, trouble);
  return trouble ? 0 : int64_t(size);
}

void remove_file(const fs::path& file) {
  std::error_code trouble;
  fs::remove(file, trouble);
  if (trouble)
    throw EnvironmentError("the file cannot be removed: {}", trouble.message()).where(file).hint(step_after(trouble.value()));
}

Error damaged(const fs::path& file, const std::string& why) {
  return DataError("the cache entry is damaged: {}", why).where(file).hint("remove it and run microemo prepare again");
}

void check_numbers(const fs::path& file, const PreparedClip& clip) {
  const std::pair<const char*, const at::Tensor*> all[] = {{"mel", &clip.mel_FM},
                                                           {"pieces", &clip.pieces_K},
                                                           {"frame_times", &clip.frame_times_T},
                                                           {"face_times", &clip.face_times_N},
                                                           {"mel_times", &clip.mel_times_F},
                                                           {"piece_times", &clip.piece_times_K}};
  for (const auto& [name, values] : all)
    if (!at::isfinite(*values).all().item<bool>())
      throw damaged(file, fmt::format("its {} has numbers that are not finite", name));
  if (clip.damage && !std::isfinite(clip.damage->until_s)) throw damaged(file, "the end of its partial clip is not finite");
  if (!std::isfinite(clip.duration_s) || clip.duration_s < 0)
    throw damaged(file, fmt::format("its duration is {:g} s", clip.duration_s));
}

struct EntryKind {
  bool is_signed = true, is_partial = false;
};

/// Throws Error(data) for an entry that is damaged.
EntryKind check_entry(const fs::path& file) {
  const formats::SafetensorsFile opened(file);
  if (is_encoded_entry(opened)) {
    check_encoded_entry(opened);
    return {};
  }
  const PreparedClip clip = read_prepared(file);
  check_numbers(file, clip);
  const auto recorded = opened.metadata().find(entry_hash_key);
  if (recorded == opened.metadata().end()) return {false, clip.damage.has_value()};
  if (recorded->second != entry_hash(opened)) throw damaged(file, "its contents are not those that were written");
  return {true, clip.damage.has_value()};
}

}  // namespace

CacheCheck verify_cache(const fs::path& cache, bool fix, int workers) {
  std::vector<fs::path> entries;
  std::ranges::copy_if(files_of(cache), std::back_inserter(entries), is_entry);
  CacheCheck check;
  check.entries = int64_t(entries.size());
  std::mutex mutex;
  Progress progress("verify", "entries", check.entries);
  for_each_parallel(check.entries, workers, [&](int64_t index, int) {
    const fs::path& file = entries[size_t(index)];
    const int64_t bytes = size_of(file);
    EntryKind kind;
    std::string why;
    try {
      kind = check_entry(file);
    } catch (const Error& error) {
      why = error.message();
    }
    const std::lock_guard lock(mutex);
    check.bytes += bytes;
    check.unsigned_entries += !kind.is_signed;
    check.partial += kind.is_partial;
    if (!why.empty()) check.damaged.push_back({file, why});
    progress.add();
  });
  std::ranges::sort(check.damaged, {}, &DamagedEntry::file);
  if (fix)
    for (const DamagedEntry& entry : check.damaged) remove_file(entry.file);
  return check;
}

CachePruning prune_cache(const fs::path& cache, const std::vector<Manifest>& manifests,
                         const std::vector<PrepareOptions>& options, bool dry_run) {
  const std::vector<fs::path> files = files_of(cache);
  if (std::ranges::none_of(files, [](const fs::path& file) { return is_entry(file) || is_list(file); }))
    throw DataError("this folder is no cache of prepared clips")
        .where(cache)
        .hint("name the folder that microemo prepare filled");
  // Tokens of encoders are kept under the names of the entries that they were computed from.
  std::set<fs::path> needed;
  for (const Manifest& manifest : manifests)
    for (const Clip& clip : manifest.clips)
      for (const PrepareOptions& option : options)
        if (!clip.video.empty()) needed.insert(cache_file(cache, clip, option).filename());
  const auto oldest = fs::file_time_type::clock::now() - unfinished_age;
  const auto is_old = [&](const fs::path& file) {
    std::error_code trouble;
    const auto written = fs::last_write_time(file, trouble);
    return !trouble && written < oldest;
  };
  CachePruning pruning;
  const auto count = [&](const fs::path& file, int64_t& number, int64_t& bytes, bool remove) {
    ++number;
    bytes += size_of(file);
    if (remove && !dry_run) remove_file(file);
  };
  for (const fs::path& file : files) {
    if (is_list(file)) continue;
    if (is_unfinished(file)) {
      if (is_old(file)) count(file, pruning.unfinished, pruning.unfinished_bytes, true);
    } else if (!is_entry(file)) {
      ++pruning.foreign;
    } else if (needed.contains(file.filename())) {
      count(file, pruning.kept, pruning.kept_bytes, false);
    } else {
      count(file, pruning.removed, pruning.removed_bytes, true);
    }
  }
  return pruning;
}

}  // namespace microemo::data
