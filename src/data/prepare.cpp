#include <algorithm>
#include <mutex>
#include <optional>
#include <set>

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include "microemo/base/error.h"
#include "microemo/base/files.h"
#include "microemo/base/log.h"
#include "microemo/base/progress.h"
#include "microemo/base/workers.h"
#include "microemo/data/prepared.h"
#include "prepared_index.h"

namespace microemo::data {
namespace {

namespace fs = std::filesystem;

/// Hashes of videos that may be lost when the process is killed.
constexpr int64_t hashes_at_risk = 64;

/// Each worker is one of many: a parallel region of its own would only fight the others for cores.
class OneThread {
 public:
  OneThread() : before_(at::get_num_threads()) { at::set_num_threads(1); }
  ~OneThread() { at::set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

bool is_there(const fs::path& file) {
  std::error_code trouble;
  return fs::exists(file, trouble);
}

std::string manifest_name(const Manifest& manifest) { return fs::absolute(manifest.path).lexically_normal().string(); }

Json skipped_line(const Manifest& manifest, const Clip& clip, const Error& error) {
  return {{"manifest", manifest_name(manifest)},
          {"line", clip.line},
          {"id", clip.id},
          {"video", clip.video.string()},
          {"kind", kind_name(error.kind())},
          {"message", error.message()},
          {"where", error.place()},
          {"next", error.next_step()}};
}

/// The lines that stay: those of other manifests prepared into the same cache, and those of clips of this one that were not
/// looked at again.
std::vector<Json> lines_to_keep(const fs::path& file, const Manifest& manifest, const std::set<std::string>& not_looked_at) {
  std::vector<Json> lines;
  if (!is_there(file)) return lines;
  read_jsonl(file, [&](const Json& line, int64_t number) {
    const auto text = [&](const char* key) { return json_get_or<std::string>(line, key, {}, file, number); };
    if (text("manifest") != manifest_name(manifest) || not_looked_at.contains(text("id"))) lines.push_back(line);
  });
  return lines;
}

class Preparation {
 public:
  Preparation(const Manifest& manifest, const fs::path& cache, const PrepareOptions& options)
      : manifest_(manifest), cache_(cache), options_(options), progress_("prepare", "clips", int64_t(manifest.clips.size())) {
    report_.clips = int64_t(manifest.clips.size());
    for (const Clip& clip : manifest.clips) not_looked_at_.insert(clip.id);
  }

  /// One clip; called from several threads.
  void prepare(const Clip& clip);
  void write_skipped() const;
  const PrepareReport& report() const { return report_; }

 private:
  std::optional<PreparedFacts> existing_entry(const fs::path& file) const;
  PreparedFacts new_entry(const Clip& clip, const fs::path& file) const;
  void count(const Clip& clip, const PreparedFacts& facts, bool is_new);
  void skip(const Clip& clip, const Error& error);

  const Manifest& manifest_;
  const fs::path& cache_;
  const PrepareOptions& options_;
  Progress progress_;
  std::mutex mutex_;
  PrepareReport report_;
  std::vector<Json> skipped_;
  std::set<std::string> not_looked_at_;  ///< ids
};

void Preparation::prepare(const Clip& clip) {
  const OneThread one_thread;
  try {
    if (clip.video.empty())
      throw DataError("clip '{}' has no video, so there is nothing to prepare", clip.id)
          .where(manifest_.path, clip.line)
          .hint("clips of words alone need no preparation; keep them in a manifest of their own");
    const fs::path file = cache_file(cache_, clip, options_);
    content_hashes(cache_).save(hashes_at_risk);
    const std::optional<PreparedFacts> existing = existing_entry(file);
    const PreparedFacts facts = existing ? *existing : new_entry(clip, file);
    check_utterances(clip, facts.duration_s);
    count(clip, facts, !existing);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) throw;
    skip(clip, error);
  }
}

std::optional<PreparedFacts> Preparation::existing_entry(const fs::path& file) const {
  if (!is_there(file)) return std::nullopt;
  try {
    return read_prepared_facts(file);
  } catch (const Error& error) {
    log_warning(fmt::format("made again: {}", error.what()));
    return std::nullopt;
  }
}

PreparedFacts Preparation::new_entry(const Clip& clip, const fs::path& file) const {
  write_prepared(file, prepare_clip(clip, options_));
  return read_prepared_facts(file);
}

void Preparation::count(const Clip& clip, const PreparedFacts& facts, bool is_new) {
  const std::lock_guard lock(mutex_);
  not_looked_at_.erase(clip.id);
  ++(is_new ? report_.done : report_.already_there);
  report_.seconds += facts.duration_s;
  report_.source_frames += facts.source_frames;
  report_.face_frames += facts.face_frames;
  report_.faces_found += facts.faces_found;
  report_.without_picture += facts.source_frames == 0;
  report_.without_sound += facts.mel_frames == 0 && facts.pieces == 0;
  report_.without_face += facts.face_frames > 0 && facts.faces_found == 0;
  if (is_new)
    progress_.add();
  else
    progress_.skip(1);
}

void Preparation::skip(const Clip& clip, const Error& error) {
  log_info(fmt::format("skipped clip {}: {}", clip.id, error.message()));
  const std::lock_guard lock(mutex_);
  not_looked_at_.erase(clip.id);
  ++report_.skipped;
  skipped_.push_back(skipped_line(manifest_, clip, error));
  progress_.add();
}

void Preparation::write_skipped() const {
  const fs::path file = cache_ / "skipped.jsonl";
  std::vector<Json> lines = lines_to_keep(file, manifest_, not_looked_at_);
  lines.insert(lines.end(), skipped_.begin(), skipped_.end());
  const auto is_of_other = [&](const Json& line) { return line["manifest"] != manifest_name(manifest_); };
  const auto own = std::stable_partition(lines.begin(), lines.end(), is_of_other);
  std::stable_sort(own, lines.end(), [](const Json& a, const Json& b) { return a["line"] < b["line"]; });
  if (!lines.empty()) return write_jsonl(file, lines);
  std::error_code absent;
  fs::remove(file, absent);
}

void refuse_too_many(const PrepareReport& report, double max_skipped, const fs::path& cache) {
  if (report.stopped || double(report.skipped) <= max_skipped * double(report.clips)) return;
  throw DataError("{} of {} clips cannot be prepared; at most a share of {} may be skipped", report.skipped, report.clips,
                  max_skipped)
      .where(cache / "skipped.jsonl")
      .hint("mend or remove the clips that are listed there, or allow more with --max-skipped; the others are in the cache");
}

}  // namespace

PrepareReport prepare_manifest(const Manifest& manifest, const fs::path& cache, const PrepareOptions& options, int workers,
                               double max_skipped) {
  ensure_writable_folder(cache);
  Preparation preparation(manifest, cache, options);
  const int64_t finished = for_each_parallel(int64_t(manifest.clips.size()), workers,
                                             [&](int64_t index, int) { preparation.prepare(manifest.clips[size_t(index)]); });
  content_hashes(cache).save();
  preparation.write_skipped();
  PrepareReport report = preparation.report();
  report.stopped = finished < report.clips;
  refuse_too_many(report, max_skipped, cache);
  return report;
}

}  // namespace microemo::data
