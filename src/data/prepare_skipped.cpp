#include "prepare_skipped.h"

#include <algorithm>

#include "microemo/base/log.h"
#include "prepared_lock.h"

namespace microemo::data {

namespace fs = std::filesystem;

SkippedClips::SkippedClips(const Manifest& manifest, fs::path cache)
    : manifest_(manifest), manifest_name_(fs::absolute(manifest.path).lexically_normal().string()), cache_(std::move(cache)) {
  for (const Clip& clip : manifest.clips) not_looked_at_.insert(clip.id);
}

void SkippedClips::add(const Clip& clip, const Error& error) {
  const std::string reason = skip_reason(error);
  log_info(fmt::format("skipped clip {}: {}", clip.id, error.message()));
  looked_at(clip);
  ++counts_[reason];
  ++unwritten_;
  lines_.push_back({{"manifest", manifest_name_},
                    {"line", clip.line},
                    {"id", clip.id},
                    {"video", clip.video.string()},
                    {"reason", reason},
                    {"kind", kind_name(error.kind())},
                    {"message", error.message()},
                    {"where", error.place()},
                    {"next", error.next_step()}});
}

/// The lines that stay: those of other manifests prepared into the same cache, and those of clips of this one that were not
/// looked at by this run.
std::vector<Json> SkippedClips::lines_to_keep(const fs::path& file) const {
  std::vector<Json> lines;
  std::error_code trouble;
  if (!fs::exists(file, trouble)) return lines;
  read_jsonl(file, [&](const Json& line, int64_t number) {
    const auto text = [&](const char* key) { return json_get_or<std::string>(line, key, {}, file, number); };
    if (text("manifest") != manifest_name_ || not_looked_at_.contains(text("id"))) lines.push_back(line);
  });
  return lines;
}

void SkippedClips::save(int64_t unwritten) {
  if (unwritten_ > unwritten) save();
}

void SkippedClips::save() {
  const CacheLock alone(cache_);
  const fs::path file = cache_ / "skipped.jsonl";
  std::vector<Json> lines = lines_to_keep(file);
  lines.insert(lines.end(), lines_.begin(), lines_.end());
  const auto own =
      std::stable_partition(lines.begin(), lines.end(), [&](const Json& line) { return line["manifest"] != manifest_name_; });
  std::stable_sort(own, lines.end(), [](const Json& a, const Json& b) { return a["line"] < b["line"]; });
  std::error_code absent;
  if (lines.empty())
    fs::remove(file, absent);
  else
    write_jsonl(file, lines);
  unwritten_ = 0;
}

}  // namespace microemo::data
