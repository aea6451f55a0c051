#include "prepared_index.h"

#include <sys/stat.h>

#include <memory>

#include "microemo/base/error.h"
#include "microemo/base/hash.h"
#include "microemo/base/json.h"
#include "microemo/base/log.h"
#include "microemo/data/prepared.h"

namespace microemo::data {
namespace {

namespace fs = std::filesystem;

/// A new number makes every cache entry anew: to be raised when the same options give other values.
constexpr int layout_version = 2;

std::string full_name(const fs::path& file) { return fs::absolute(file).lexically_normal().string(); }

int64_t nanoseconds(const timespec& time) { return int64_t(time.tv_sec) * 1'000'000'000 + time.tv_nsec; }

}  // namespace

ContentHashes::ContentHashes(fs::path index) : index_(std::move(index)) {
  std::error_code trouble;
  if (!fs::exists(index_, trouble)) return;
  try {
    load();
  } catch (const Error& error) {
    log_warning(fmt::format("the cache's index is read no further, videos are hashed again: {}", error.what()));
  }
}

void ContentHashes::load() {
  read_jsonl(index_, [this](const Json& entry, int64_t line) {
    const auto number = [&](const char* key) { return json_get<int64_t>(entry, key, index_, line); };
    known_[json_get<std::string>(entry, "path", index_, line)] = {number("size"), number("modified_ns"), number("changed_ns"),
                                                                  json_get<std::string>(entry, "sha256", index_, line)};
  });
}

ContentHashes::Known ContentHashes::stamp(const fs::path& file) {
  struct stat facts {};
  if (::stat(file.c_str(), &facts) != 0) return {};
  return {facts.st_size, nanoseconds(facts.st_mtim), nanoseconds(facts.st_ctim), {}};
}

std::string ContentHashes::of(const fs::path& file) {
  const std::string name = full_name(file);
  Known now = stamp(file);
  {
    const std::lock_guard lock(mutex_);
    const auto entry = known_.find(name);
    if (entry != known_.end()) {
      now.sha256 = entry->second.sha256;
      if (now == entry->second) return now.sha256;
    }
  }
  now.sha256 = sha256_file(file);
  const std::lock_guard lock(mutex_);
  known_[name] = now;
  ++unsaved_;
  return now.sha256;
}

void ContentHashes::save(int64_t unsaved) {
  const std::lock_guard lock(mutex_);
  if (unsaved_ <= unsaved) return;
  std::vector<Json> lines;
  for (const auto& [path, entry] : known_)
    lines.push_back({{"path", path},
                     {"size", entry.size},
                     {"modified_ns", entry.modified_ns},
                     {"changed_ns", entry.changed_ns},
                     {"sha256", entry.sha256}});
  write_jsonl(index_, lines);
  unsaved_ = 0;
}

ContentHashes& content_hashes(const fs::path& cache) {
  static std::mutex mutex;
  static std::map<std::string, std::unique_ptr<ContentHashes>> caches;
  const std::lock_guard lock(mutex);
  auto& hashes = caches[full_name(cache)];
  if (!hashes) hashes = std::make_unique<ContentHashes>(cache / "index.jsonl");
  return *hashes;
}

fs::path cache_file(const fs::path& cache, const Clip& clip, const PrepareOptions& options) {
  Json key = {
      {"layout", layout_version}, {"content", content_hashes(cache).of(clip.video)}, {"options", options_to_json(options)}};
  if (options.faces && !clip.face_crops.empty())
    key["face_crops"] = {content_hashes(cache).of(clip.face_crops), clip.face_crop_rate};
  else if (options.faces && options.face_choice == FaceChoice::speaking)
    for (const Utterance& utterance : clip.utterances) key["utterances"].push_back({utterance.start_s, utterance.end_s});
  const std::string name = sha256(key.dump());
  return cache / name.substr(0, 2) / (name + ".safetensors");
}

}  // namespace microemo::data
