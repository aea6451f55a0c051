#include <algorithm>
#include <chrono>
#include <mutex>
#include <optional>

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include "microemo/base/error.h"
#include "microemo/base/files.h"
#include "microemo/base/log.h"
#include "microemo/base/progress.h"
#include "microemo/base/workers.h"
#include "microemo/data/prepared.h"
#include "prepare_skipped.h"
#include "prepared_index.h"

namespace microemo::data {
namespace {

namespace fs = std::filesystem;

/// Hashes of videos, and skipped clips, that may be lost when the process is killed.
constexpr int64_t at_risk = 64;

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

constexpr int64_t default_worker_bytes = int64_t(80) << 20;

/// A worker's part, of which one half holds frames until their faces are aligned.
ClipMemory memory_of_worker(const PrepareRun& run) {
  const int64_t workers = run.workers > 0 ? run.workers : thread_budget().threads;
  const int64_t part = run.memory_bytes > 0 ? run.memory_bytes / workers : default_worker_bytes;
  return {.kept_frames = part / 2, .most = part - part / 2};
}

/// What a clip may take that is prepared alone; without a limit as much as it needs.
ClipMemory memory_alone(const PrepareRun& run) {
  ClipMemory memory;
  if (run.memory_bytes == 0) return memory;
  memory.kept_frames = std::min(memory.kept_frames, run.memory_bytes / 4);
  memory.most = run.memory_bytes - memory.kept_frames;
  return memory;
}

/// Ends the work of all threads once too many clips are skipped.
struct TooManySkipped {};

bool is_there(const fs::path& file) {
  std::error_code trouble;
  return fs::exists(file, trouble);
}

std::vector<const Clip*> clips_of(const Manifest& manifest, const Shard& shard) {
  std::vector<const Clip*> clips;
  for (size_t i = 0; i < manifest.clips.size(); ++i)
    if (shard.has(i)) clips.push_back(&manifest.clips[i]);
  return clips;
}

class Preparation {
 public:
  Preparation(const Manifest& manifest, const fs::path& cache, const PrepareOptions& options, const PrepareRun& run)
      : manifest_(manifest),
        cache_(cache),
        options_(options),
        run_(run),
        clips_(clips_of(manifest, run.shard)),
        skipped_(manifest, cache),
        progress_("prepare", "clips", int64_t(clips_.size())) {
    report_.clips = int64_t(clips_.size());
  }

  PrepareReport run();

 private:
  void prepare(const Clip& clip, const ClipMemory& memory, bool alone);
  int64_t prepare_all();
  std::optional<PreparedFacts> existing_entry(const fs::path& file) const;
  PreparedFacts new_entry(const Clip& clip, const fs::path& file, const ClipMemory& memory) const;
  void count(const Clip& clip, const PreparedFacts& facts, bool is_new);
  void skip(const Clip& clip, const Error& error);
  bool too_many() const;
  Error refusal() const;

  const Manifest& manifest_;
  const fs::path& cache_;
  const PrepareOptions& options_;
  const PrepareRun& run_;
  const std::vector<const Clip*> clips_;
  std::mutex mutex_;
  PrepareReport report_;
  SkippedClips skipped_;
  std::vector<const Clip*> large_;  ///< they need more than a worker's part of the memory
  Progress progress_;
};

/// One clip; called from several threads unless it is alone.
void Preparation::prepare(const Clip& clip, const ClipMemory& memory, bool alone) {
  const OneThread one_thread;
  try {
    if (clip.video.empty())
      throw DataError("clip '{}' has no video, so there is nothing to prepare", clip.id)
          .where(manifest_.path, clip.line)
          .hint("clips of words alone need no preparation; keep them in a manifest of their own");
    const fs::path file = cache_file(cache_, clip, options_);
    content_hashes(cache_).save(at_risk);
    const std::optional<PreparedFacts> existing = existing_entry(file);
    const PreparedFacts facts = existing ? *existing : new_entry(clip, file, memory);
    check_utterances(clip, facts.duration_s);
    count(clip, facts, !existing);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) throw;
    if (!alone && skip_reason(error) == "over_memory") {
      const std::lock_guard lock(mutex_);
      large_.push_back(&clip);
      return;
    }
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

PreparedFacts Preparation::new_entry(const Clip& clip, const fs::path& file, const ClipMemory& memory) const {
  write_prepared(file, prepare_clip(clip, options_, memory));
  return read_prepared_facts(file);
}

void Preparation::count(const Clip& clip, const PreparedFacts& facts, bool is_new) {
  const std::lock_guard lock(mutex_);
  skipped_.looked_at(clip);
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
  const std::lock_guard lock(mutex_);
  ++report_.skipped;
  skipped_.add(clip, error);
  skipped_.save(at_risk);
  progress_.add(1, fmt::format("skipped {}: {}", report_.skipped, skip_text(skipped_.counts())));
  if ((run_.max_skipped || run_.max_skipped_clips) && too_many()) throw TooManySkipped();
}

bool Preparation::too_many() const {
  if (!run_.max_skipped && !run_.max_skipped_clips) return report_.skipped > 0;
  return (run_.max_skipped && double(report_.skipped) > *run_.max_skipped * double(report_.clips)) ||
         (run_.max_skipped_clips && report_.skipped > *run_.max_skipped_clips);
}

Error Preparation::refusal() const {
  std::string allowed = "none may be skipped";
  if (run_.max_skipped && run_.max_skipped_clips)
    allowed = fmt::format("at most {}, and a share of {}, may be skipped", *run_.max_skipped_clips, *run_.max_skipped);
  else if (run_.max_skipped)
    allowed = fmt::format("at most a share of {} may be skipped", *run_.max_skipped);
  else if (run_.max_skipped_clips)
    allowed = fmt::format("at most {} may be skipped", *run_.max_skipped_clips);
  return DataError("{} of {} clips cannot be prepared ({}); {}", report_.skipped, report_.clips, skip_text(skipped_.counts()),
                   allowed)
      .where(cache_ / "skipped.jsonl")
      .hint(fmt::format("{}; the list names each clip; or allow more with --max-skipped. What is done stays in the cache",
                        skip_advice(commonest_reason(skipped_.counts()))));
}

/// Returns how many clips were looked at.
int64_t Preparation::prepare_all() {
  const ClipMemory part = memory_of_worker(run_), whole = memory_alone(run_);
  const int64_t tried =
      for_each_parallel(report_.clips, run_.workers, [&](int64_t index, int) { prepare(*clips_[size_t(index)], part, false); });
  const auto large = int64_t(large_.size());
  return tried - large + for_each_parallel(large, 1, [&](int64_t index, int) { prepare(*large_[size_t(index)], whole, true); });
}

PrepareReport Preparation::run() {
  const auto start = std::chrono::steady_clock::now();
  bool ended_early = false;
  int64_t finished = 0;
  try {
    finished = prepare_all();
  } catch (const TooManySkipped&) {
    ended_early = true;
  }
  progress_.finish();
  content_hashes(cache_).save();
  skipped_.save();
  report_.stopped = !ended_early && finished < report_.clips;
  report_.reasons = skipped_.counts();
  report_.elapsed_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (!report_.stopped && too_many()) throw refusal();
  return report_;
}

}  // namespace

PrepareReport prepare_manifest(const Manifest& manifest, const fs::path& cache, const PrepareOptions& options,
                               const PrepareRun& run) {
  ensure_writable_folder(cache);
  return Preparation(manifest, cache, options, run).run();
}

}  // namespace microemo::data
