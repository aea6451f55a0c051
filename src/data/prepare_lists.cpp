#include "prepare_lists.h"

#include <algorithm>

#include <fmt/format.h>

#include "microemo/base/log.h"
#include "prepared_lock.h"

namespace microemo::data {

namespace fs = std::filesystem;

ClipList::ClipList(const Manifest& manifest, fs::path cache, const char* name)
    : manifest_(manifest),
      manifest_name_(fs::absolute(manifest.path).lexically_normal().string()),
      cache_(std::move(cache)),
      file_(cache_ / name) {
  for (const Clip& clip : manifest.clips) not_looked_at_.insert(clip.id);
}

void ClipList::add(const Clip& clip, const Json& facts) {
  looked_at(clip);
  ++unwritten_;
  Json line = {{"manifest", manifest_name_}, {"line", clip.line}, {"id", clip.id}, {"video", clip.video.string()}};
  line.update(facts);
  lines_.push_back(std::move(line));
}

/// The lines that stay: those of other manifests prepared into the same cache, and those of clips of this one that were not
/// looked at by this run.
std::vector<Json> ClipList::lines_to_keep() const {
  std::vector<Json> lines;
  std::error_code trouble;
  if (!fs::exists(file_, trouble)) return lines;
  read_jsonl(file_, [&](const Json& line, int64_t number) {
    const auto text = [&](const char* key) { return json_get_or<std::string>(line, key, {}, file_, number); };
    if (text("manifest") != manifest_name_ || not_looked_at_.contains(text("id"))) lines.push_back(line);
  });
  return lines;
}

std::set<std::string> ClipList::ids(const std::string& reason) const {
  std::set<std::string> found;
  std::error_code trouble;
  if (!fs::exists(file_, trouble)) return found;
  read_jsonl(file_, [&](const Json& line, int64_t number) {
    const auto text = [&](const char* key) { return json_get_or<std::string>(line, key, {}, file_, number); };
    if (text("manifest") == manifest_name_ && text("reason") == reason) found.insert(text("id"));
  });
  return found;
}

void ClipList::save(int64_t unwritten) {
  if (unwritten_ > unwritten) save();
}

void ClipList::save() {
  const CacheLock alone(cache_);
  std::vector<Json> lines = lines_to_keep();
  lines.insert(lines.end(), lines_.begin(), lines_.end());
  const auto own =
      std::stable_partition(lines.begin(), lines.end(), [&](const Json& line) { return line["manifest"] != manifest_name_; });
  std::stable_sort(own, lines.end(), [](const Json& a, const Json& b) { return a["line"] < b["line"]; });
  std::error_code absent;
  if (lines.empty())
    fs::remove(file_, absent);
  else
    write_jsonl(file_, lines);
  unwritten_ = 0;
}

PrepareLists::PrepareLists(const Manifest& manifest, const fs::path& cache)
    : skipped_(manifest, cache, "skipped.jsonl"), partial_(manifest, cache, "partial.jsonl") {}

void PrepareLists::add_prepared(const Clip& clip, const std::optional<media::Damage>& damage) {
  skipped_.looked_at(clip);
  partial_.looked_at(clip);
  if (damage) partial_.add(clip, {{"until_s", damage->until_s}, {"reason", damage->reason}});
}

void PrepareLists::add_skipped(const Clip& clip, const Error& error) {
  const std::string reason = skip_reason(error);
  log_info(fmt::format("skipped clip {}: {}", clip.id, error.message()));
  ++skip_counts_[reason];
  partial_.looked_at(clip);
  skipped_.add(clip, {{"reason", reason},
                      {"kind", kind_name(error.kind())},
                      {"message", error.message()},
                      {"where", error.place()},
                      {"next", error.next_step()}});
}

void PrepareLists::save(int64_t unwritten) {
  skipped_.save(unwritten);
  partial_.save(unwritten);
}

void PrepareLists::save() {
  skipped_.save();
  partial_.save();
}

}  // namespace microemo::data
