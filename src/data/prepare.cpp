#include <algorithm>
#include <chrono>
#include <exception>
#include <mutex>
#include <optional>
#include <set>
#include <utility>

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include "microemo/base/error.h"
#include "microemo/base/files.h"
#include "microemo/base/log.h"
#include "microemo/base/progress.h"
#include "microemo/base/workers.h"
#include "microemo/data/prepared.h"
#include "microemo/media/hang.h"
#include "prepare_hangs.h"
#include "prepare_lists.h"
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

Error hang_error(const Clip& clip) {
  return DataError("a call of the decoder of clip \"{}\" does not come back: it is taken to hang", clip.id)
      .where(clip.video)
      .hint("convert the video with ffmpeg, or take it out of the manifest");
}

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
        lists_(manifest, cache),
        start_(std::chrono::steady_clock::now()),
        progress_("prepare", "clips", int64_t(clips_.size())) {
    report_.clips = int64_t(clips_.size());
  }

  PrepareReport run();

 private:
  void prepare(const Clip& clip, const ClipMemory& memory, bool alone);
  void prepare_guarded(const Clip& clip, const ClipMemory& memory, bool alone);
  void prepare_each(const std::vector<const Clip*>& clips, int workers, const ClipMemory& memory, bool alone);
  void prepare_all();
  std::optional<PreparedFacts> existing_entry(const fs::path& file) const;
  PreparedFacts new_entry(const Clip& clip, const fs::path& file, const ClipMemory& memory) const;
  void count(const Clip& clip, const PreparedFacts& facts, bool is_new);
  void skip(const Clip& clip, const Error& error);
  void note_skipped(const Clip& clip, const Error& error);
  void note_hang(const Clip& clip);
  void end_if_all_hang();
  void conclude();
  /// Whether some may be skipped, so that more of them end the run.
  bool is_limited() const { return run_.max_skipped || run_.max_skipped_clips; }
  bool too_many() const;
  Error refusal() const;

  const Manifest& manifest_;
  const fs::path& cache_;
  const PrepareOptions& options_;
  const PrepareRun& run_;
  const std::vector<const Clip*> clips_;
  std::mutex mutex_;
  PrepareReport report_;
  PrepareLists lists_;
  std::vector<const Clip*> large_;  ///< they need more than a worker's part of the memory
  std::vector<const Clip*> late_;   ///< while they are prepared: their decoders hung in a run before
  HangCount hangs_;
  bool too_many_skipped_ = false;  ///< the run has ended early
  bool ended_by_hangs_ = false;
  std::exception_ptr failure_;  ///< the first error that ends the run
  const std::chrono::steady_clock::time_point start_;
  Progress progress_;
};

/// One clip; called from several threads unless it is alone.
void Preparation::prepare_guarded(const Clip& clip, const ClipMemory& memory, bool alone) {
  {
    const std::lock_guard lock(mutex_);
    if (too_many_skipped_) throw TooManySkipped();
    hangs_.begins();
  }
  std::exception_ptr failure;
  try {
    const media::HangGuard guard(media::hang_stalls * read_limits(options_).stall_seconds, [&] { note_hang(clip); });
    prepare(clip, memory, alone);
  } catch (...) {
    failure = std::current_exception();
  }
  const std::lock_guard lock(mutex_);
  hangs_.ends(clip.id);
  if (!failure_ && !too_many_skipped_) failure_ = failure;
  end_if_all_hang();
  if (failure) std::rethrow_exception(failure);
}

/// The clip's decoder hangs; called again while it does.
void Preparation::note_hang(const Clip& clip) {
  const std::lock_guard lock(mutex_);
  if (hangs_.add(clip.id)) {
    log_warning(hang_error(clip).what());
    note_skipped(clip, hang_error(clip));
    // Whoever ends a run that waits is to find it.
    lists_.save();
    too_many_skipped_ |= is_limited() && too_many();
  }
  end_if_all_hang();
}

/// With the lock.
void Preparation::end_if_all_hang() {
  if (!run_.on_hang || ended_by_hangs_ || !hangs_.is_all(stop_requested() || too_many_skipped_ || failure_)) return;
  ended_by_hangs_ = true;
  // Those that hung before and were not reached again stay as they were, or no number of runs would come to an end.
  if (!stop_requested())
    for (auto i = int64_t(late_.size()) - std::min(hangs_.left(), int64_t(late_.size())); i < int64_t(late_.size()); ++i)
      note_skipped(*late_[size_t(i)], hang_error(*late_[size_t(i)]));
  std::exception_ptr failure = failure_;
  try {
    conclude();
  } catch (...) {
    if (!failure) failure = std::current_exception();
  }
  run_.on_hang(report_, failure);
}

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
    check_utterances(clip, facts.duration_s, facts.damage);
    count(clip, facts, !existing);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) throw;
    if (!alone && skip_reason(error) == "over_memory") {
      const std::lock_guard lock(mutex_);
      if (!hangs_.has(clip.id)) large_.push_back(&clip);
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
  if (hangs_.has(clip.id)) return;
  lists_.add_prepared(clip, facts.damage);
  lists_.save(at_risk);
  ++(is_new ? report_.done : report_.already_there);
  report_.seconds += facts.duration_s;
  report_.source_frames += facts.source_frames;
  report_.face_frames += facts.face_frames;
  report_.faces_found += facts.faces_found;
  report_.without_picture += facts.source_frames == 0;
  report_.without_sound += facts.mel_frames == 0 && facts.pieces == 0;
  report_.partial += facts.damage.has_value();
  report_.without_face += facts.face_frames > 0 && facts.faces_found == 0;
  if (is_new)
    progress_.add();
  else
    progress_.skip(1);
}

void Preparation::skip(const Clip& clip, const Error& error) {
  const std::lock_guard lock(mutex_);
  if (hangs_.has(clip.id)) return;
  note_skipped(clip, error);
  too_many_skipped_ |= is_limited() && too_many();
  if (too_many_skipped_) throw TooManySkipped();
}

void Preparation::note_skipped(const Clip& clip, const Error& error) {
  ++report_.skipped;
  lists_.add_skipped(clip, error);
  lists_.save(at_risk);
  progress_.add(1, fmt::format("skipped {}: {}", report_.skipped, skip_text(lists_.skip_counts())));
}

bool Preparation::too_many() const {
  if (!is_limited()) return report_.skipped > 0;
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
  return DataError("{} of {} clips cannot be prepared ({}); {}", report_.skipped, report_.clips, skip_text(lists_.skip_counts()),
                   allowed)
      .where(cache_ / "skipped.jsonl")
      .hint(fmt::format("{}; the list names each clip; or allow more with --max-skipped. What is done stays in the cache",
                        skip_advice(commonest_reason(lists_.skip_counts()))));
}

void Preparation::prepare_each(const std::vector<const Clip*>& clips, int workers, const ClipMemory& memory, bool alone) {
  {
    const std::lock_guard lock(mutex_);
    hangs_.expect(int64_t(clips.size()), workers);
  }
  for_each_parallel(int64_t(clips.size()), workers,
                    [&](int64_t index, int) { prepare_guarded(*clips[size_t(index)], memory, alone); });
}

void Preparation::prepare_all() {
  const int workers = run_.workers > 0 ? run_.workers : thread_budget().threads;
  const ClipMemory part = memory_of_worker(run_), whole = memory_alone(run_);
  const std::set<std::string> hung = lists_.skipped_before("hang");
  std::vector<const Clip*> others, late;
  for (const Clip* clip : clips_) (hung.contains(clip->id) ? late : others).push_back(clip);
  prepare_each(others, workers, part, false);
  prepare_each(std::exchange(large_, {}), 1, whole, true);
  late_ = late;
  prepare_each(late, workers, part, false);
  late_.clear();
  prepare_each(std::exchange(large_, {}), 1, whole, true);
}

/// Saves, and says how the run went. Throws Error(data) when more was skipped than is allowed.
void Preparation::conclude() {
  progress_.finish();
  content_hashes(cache_).save();
  lists_.save();
  const int64_t looked_at = report_.done + report_.already_there + report_.skipped;
  report_.stopped = !too_many_skipped_ && looked_at < report_.clips;
  report_.reasons = lists_.skip_counts();
  report_.elapsed_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  if (!report_.stopped && too_many()) throw refusal();
}

PrepareReport Preparation::run() {
  try {
    prepare_all();
  } catch (const TooManySkipped&) {
  }
  conclude();
  return report_;
}

}  // namespace

PrepareReport prepare_manifest(const Manifest& manifest, const fs::path& cache, const PrepareOptions& options,
                               const PrepareRun& run) {
  ensure_writable_folder(cache);
  return Preparation(manifest, cache, options, run).run();
}

}  // namespace microemo::data
