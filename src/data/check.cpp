#include "microemo/data/check.h"

#include <algorithm>
#include <mutex>
#include <optional>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "microemo/base/error.h"
#include "microemo/base/hash.h"
#include "microemo/base/progress.h"
#include "microemo/base/workers.h"
#include "microemo/data/prepared.h"
#include "microemo/media/face_crops.h"
#include "microemo/media/frame_reader.h"
#include "microemo/media/picture_folder.h"
#include "microemo/media/video_reader.h"
#include "prepare_faces.h"
#include "prepared_hash.h"

namespace microemo::data {
namespace {

namespace fs = std::filesystem;

/// One clip with what its file told.
struct Examined {
  fs::path manifest;
  Clip clip;
  std::optional<media::VideoInfo> info;  ///< nothing when the file cannot be opened or the clip is words alone
  std::optional<media::Damage> damage;
  std::string content;  ///< SHA-256
  bool crops_are_black = false;
};

class Findings {
 public:
  void add(Severity severity, const char* code, const Examined& clip, const std::string& message, const std::string& next_step) {
    list_.push_back({severity, code, clip.manifest, clip.clip.line, clip.clip.id, message, clip.clip.video.string(), next_step});
  }
  void add(const char* code, const fs::path& manifest, int64_t line, const std::string& id, const Error& error) {
    list_.push_back({Severity::error, code, manifest, line, id, error.message(), error.place(), error.next_step()});
  }
  std::vector<Finding> sorted() {
    std::stable_sort(list_.begin(), list_.end(), [](const Finding& a, const Finding& b) {
      return std::tie(a.manifest, a.line) < std::tie(b.manifest, b.line);
    });
    return std::move(list_);
  }

 private:
  std::vector<Finding> list_;
};

/// What prepare will make of given crops. Throws Error(data).
void examine_crops(Examined& clip) {
  if (clip.clip.face_crops.empty()) return;
  const std::vector<media::Image> crops = media::read_face_crops(clip.clip.face_crops);
  clip.crops_are_black = std::ranges::all_of(crops, [](const media::Image& crop) { return crop.pixels.empty(); });
  // Of a video that cannot be read something else is said.
  if (!clip.info || !clip.info->has_video || clip.damage) return;
  const media::FrameReader reader(media_of(clip.clip), {.limits = {}, .rgb = false});
  std::vector<double> times;
  for (const media::IndexedFrame& frame : reader.frames()) times.push_back(frame.seconds);
  crop_times(clip.clip, crops.size(), times, reader.end_s());
}

void examine(Examined& clip, Findings& findings, std::mutex& mutex) {
  if (clip.clip.video.empty()) return;
  const auto attempt = [&](const char* code, auto&& look) {
    try {
      look();
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::data) throw;
      const std::lock_guard lock(mutex);
      findings.add(code, clip.manifest, clip.clip.line, clip.clip.id, error);
    }
  };
  attempt("media", [&] {
    clip.content = clip.clip.frame_rate > 0 ? pictures_hash(media::picture_files(clip.clip.video)) : sha256_file(clip.clip.video);
    clip.info = media::probe(media_of(clip.clip));
    clip.damage = media::find_damage(media_of(clip.clip));
  });
  attempt("face-crops", [&] { examine_crops(clip); });
}

void check_streams(const Examined& clip, Findings& findings) {
  if (!clip.info->has_audio)
    findings.add(Severity::warning, "no-sound", clip, "the clip has no sound",
                 "nothing if that is so; the audio branch then sees nothing of it");
  if (!clip.info->has_video)
    findings.add(Severity::warning, "no-picture", clip, "the clip has no picture",
                 "nothing if that is so; the visual branches then see nothing of it");
}

void check_crops(const Examined& clip, Findings& findings) {
  if (!clip.crops_are_black) return;
  findings.add(Severity::warning, "face-crops", clip,
               fmt::format("all face crops are black, so no frame has a face: {}", clip.clip.face_crops.string()),
               "nothing if no face was found in the video; otherwise name the right file");
}

void check_whole(const Examined& clip, Partial partial, Findings& findings) {
  if (!clip.damage) return;
  const std::string found = fmt::format("the file is truncated or damaged: it can be read up to {:.3f} s only ({})",
                                        clip.damage->until_s, clip.damage->reason);
  if (partial == Partial::allow)
    findings.add(Severity::warning, "truncated", clip, found, "nothing if that part is enough; it will be a partial clip");
  else
    findings.add(Severity::error, "truncated", clip, found,
                 "copy or download it again, or use what is there: --partial, for prepare prepare.partial=allow");
}

void check_times(const Examined& clip, Partial partial, Findings& findings) {
  if (clip.clip.utterances.empty()) return;
  if (clip.info->duration_s <= 0 && !clip.damage) {
    findings.add(Severity::warning, "unknown-length", clip, "the container does not say how long the clip is",
                 "run microemo prepare, which compares the utterances with what it decodes");
    return;
  }
  try {
    check_utterances(clip.clip, clip.info->duration_s, partial == Partial::allow ? clip.damage : std::nullopt);
  } catch (const Error& error) {
    findings.add("outside", clip.manifest, clip.clip.line, clip.clip.id, error);
  }
}

void check_labels(const Examined& clip, Findings& findings) {
  if (clip.clip.utterances.empty()) {
    findings.add(Severity::warning, "no-utterances", clip, "the clip has no utterances",
                 "add them with their times, or name a transcript");
    return;
  }
  std::vector<size_t> without;
  for (size_t i = 0; i < clip.clip.utterances.size(); ++i)
    if (clip.clip.utterances[i].labels.empty() && clip.clip.utterances[i].answer.empty()) without.push_back(i + 1);
  if (!without.empty())
    findings.add(Severity::warning, "no-labels", clip,
                 fmt::format("no labels and no answer for utterance {}", fmt::join(without, ", ")),
                 "add labels to train on or score against; prediction needs none");
}

std::string place_of(const Examined& clip) { return fmt::format("{}, line {}", clip.manifest.string(), clip.clip.line); }

void check_duplicates(const std::vector<Examined>& clips, Findings& findings) {
  std::map<std::string, const Examined*> first;
  for (const Examined& clip : clips) {
    if (clip.content.empty()) continue;
    const auto [earlier, is_new] = first.emplace(clip.content, &clip);
    if (is_new) continue;
    const Examined& other = *earlier->second;
    const bool leak = other.clip.split != clip.clip.split;
    findings.add(leak ? Severity::error : Severity::warning, leak ? "leak" : "duplicate", clip,
                 leak ? fmt::format("the same video is in split \"{}\" and, as clip \"{}\", in split \"{}\"", clip.clip.split,
                                    other.clip.id, other.clip.split)
                      : fmt::format("the same video as clip \"{}\"", other.clip.id),
                 fmt::format("remove one of the two ({})", place_of(other)));
  }
}

/// What no two splits should share: a person or a dialogue. Reported once for each, at the first clip of the later split.
void check_shared(const std::vector<Examined>& clips, const char* what, std::string Clip::*name, const char* unseen,
                  Findings& findings) {
  std::map<std::string, std::map<std::string, const Examined*>> splits_of;
  for (const Examined& clip : clips) {
    const std::string& shared = clip.clip.*name;
    if (shared.empty() || !splits_of[shared].emplace(clip.clip.split, &clip).second || splits_of[shared].size() != 2) continue;
    const auto other = std::find_if(splits_of[shared].begin(), splits_of[shared].end(),
                                    [&](const auto& entry) { return entry.first != clip.clip.split; });
    findings.add(Severity::warning, "leak", clip,
                 fmt::format("{} \"{}\" is in split \"{}\" and in split \"{}\"", what, shared, clip.clip.split, other->first),
                 fmt::format("keep each {} in one split, or the score is not that of unseen {} ({})", what, unseen,
                             place_of(*other->second)));
  }
}

void check_ids(const std::vector<Examined>& clips, Findings& findings) {
  std::map<std::string, const Examined*> first;
  for (const Examined& clip : clips) {
    const auto [earlier, is_new] = first.emplace(clip.clip.id, &clip);
    if (!is_new && earlier->second->manifest != clip.manifest)
      findings.add(Severity::warning, "duplicate", clip, fmt::format("the id \"{}\" is in two manifests", clip.clip.id),
                   fmt::format("rename one of the two ({})", place_of(*earlier->second)));
  }
}

std::vector<Examined> read_all(const std::vector<fs::path>& manifests, Findings& findings, int64_t& lines) {
  std::vector<Examined> clips;
  for (const fs::path& path : manifests) {
    const auto on_error = [&](const Error& mistake, int64_t line) {
      findings.add("manifest", path, line, "", mistake);
      ++lines;
    };
    for (Clip& clip : read_manifest(path, on_error).clips) clips.push_back({path, std::move(clip), {}, {}, {}, {}});
  }
  lines += int64_t(clips.size());
  return clips;
}

/// Opens every video; how many were before a signal stopped it.
int64_t examine_all(std::vector<Examined>& clips, int workers, Findings& findings) {
  if (clips.empty()) return 0;
  std::mutex mutex;
  Progress progress("check", "clips", int64_t(clips.size()));
  return for_each_parallel(int64_t(clips.size()), workers, [&](int64_t i, int) {
    examine(clips[size_t(i)], findings, mutex);
    progress.add();
  });
}

}  // namespace

const char* name_of(Severity severity) { return severity == Severity::error ? "error" : "warning"; }

int64_t CheckReport::errors() const {
  return std::count_if(findings.begin(), findings.end(), [](const Finding& f) { return f.severity == Severity::error; });
}

int64_t CheckReport::warnings() const { return int64_t(findings.size()) - errors(); }

CheckReport check_manifests(const std::vector<fs::path>& manifests, int workers, Partial partial) {
  CheckReport report;
  Findings findings;
  std::vector<Examined> clips = read_all(manifests, findings, report.lines);
  report.stopped = examine_all(clips, workers, findings) < int64_t(clips.size());
  for (const Examined& clip : clips) {
    check_labels(clip, findings);
    check_crops(clip, findings);
    if (!clip.info) continue;
    check_streams(clip, findings);
    check_whole(clip, partial, findings);
    check_times(clip, partial, findings);
  }
  check_ids(clips, findings);
  check_duplicates(clips, findings);
  check_shared(clips, "identity", &Clip::identity, "people", findings);
  check_shared(clips, "speaker", &Clip::speaker, "people", findings);
  check_shared(clips, "dialogue", &Clip::dialogue, "dialogues", findings);
  report.findings = findings.sorted();
  return report;
}

Json to_json(const CheckReport& report) {
  Json findings = Json::array();
  for (const Finding& finding : report.findings)
    findings.push_back({{"severity", name_of(finding.severity)},
                        {"code", finding.code},
                        {"manifest", finding.manifest.string()},
                        {"line", finding.line},
                        {"id", finding.id},
                        {"message", finding.message},
                        {"where", finding.place},
                        {"next", finding.next_step}});
  return {{"clips", report.lines},
          {"stopped", report.stopped},
          {"errors", report.errors()},
          {"warnings", report.warnings()},
          {"findings", findings}};
}

}  // namespace microemo::data
