#include "microemo/data/synth.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "microemo/base/files.h"
#include "microemo/base/hash.h"
#include "microemo/base/json.h"
#include "microemo/base/progress.h"
#include "microemo/base/workers.h"
#include "microemo/data/synth_face.h"
#include "microemo/data/synth_render.h"
#include "microemo/data/synth_script.h"
#include "microemo/data/synth_speech.h"
#include "microemo/media/video_writer.h"
#include "microemo/text/transcript.h"

namespace microemo::data {
namespace {

namespace fs = std::filesystem;

/// Raised when the same options begin to give other files.
constexpr int64_t synth_version = 2;

void check_options(const SynthOptions& options) {
  if (options.amplitude_min > options.amplitude_max)
    throw ConfigError("amplitude_min ({}) is above amplitude_max ({})", options.amplitude_min, options.amplitude_max)
        .hint("give the smaller one to amplitude_min");
  if (options.movement_min_s > options.movement_max_s)
    throw ConfigError("movement_min_s ({}) is above movement_max_s ({})", options.movement_min_s, options.movement_max_s)
        .hint("give the smaller one to movement_min_s");
}

/// What decides the content of a clip: not how many there are, nor where the photographs lie.
std::string content_hash(const SynthOptions& options) {
  Json deciding = options_to_json(options);
  for (const char* key : {"train_clips", "test_clips", "text_clips", "photographs"}) deciding.erase(key);
  return sha256(fmt::format("{} {}", synth_version, deciding.dump()));
}

fs::path summary_path(const fs::path& folder) { return folder / "synth.json"; }

Json summary(const SynthOptions& options, const Photographs& photographs, bool complete) {
  Json files = Json::object(), ceilings = Json::object();
  for (const PhotographFile& file : photographs.files()) files[file.name] = file.hash;
  for (const auto& [known, score] : score_ceilings(options.none_probability)) ceilings[known] = std::round(1e4 * score) / 1e4;
  return {{"complete", complete},
          {"options_hash", content_hash(options)},
          {"options", options_to_json(options)},
          {"photographs", files},
          {"espeak_ng", espeak_version()},
          {"counts", {{"train", options.train_clips}, {"test", options.test_clips}, {"text", options.text_clips}}},
          {"ceilings", ceilings}};
}

/// A folder that holds a set made with other options is refused before anything is written to it.
void check_folder(const fs::path& folder, const SynthOptions& options) {
  if (!fs::exists(summary_path(folder))) return;
  const Json found = read_json(summary_path(folder));
  if (json_get<std::string>(found, "options_hash", summary_path(folder)) == content_hash(options)) return;
  throw ConfigError("{} holds a set that was made with other options", folder.string())
      .where(summary_path(folder))
      .hint("name another folder, remove this one, or give the options that synth.json lists");
}

std::vector<ClipScript> draw_scripts(const SynthOptions& options) {
  std::vector<ClipScript> scripts;
  for (int64_t i = 0; i < options.train_clips; ++i) scripts.push_back(draw_script(options, SynthPart::train, i));
  for (int64_t i = 0; i < options.test_clips; ++i) scripts.push_back(draw_script(options, SynthPart::test, i));
  return scripts;
}

fs::path video_path(const fs::path& folder, const ClipScript& script) { return folder / "clips" / (script.id + ".mp4"); }

void write_subtitles(const fs::path& path, const ClipScript& script) {
  std::vector<text::Cue> cues;
  for (const ScriptedUtterance& u : script.utterances) cues.push_back({u.start_s, u.end_s, u.sentence.text(), 0});
  write_file_atomic(path, text::format_srt(cues));
}

/// The video is written last and appears whole, so a video that is there means a clip that is there.
void make_clip(const fs::path& folder, const SynthOptions& options, const ClipScript& script, const Photographs& photographs) {
  const fs::path video = video_path(folder, script);
  write_subtitles(fs::path(video).replace_extension(".srt"), script);
  const media::Sound sound = clip_sound(script, uint64_t(options.seed));
  ClipRenderer renderer(options, script, photographs.portrait(script.portrait));
  media::VideoWriter writer(
      video,
      {.width = synth_width, .height = synth_height, .rate = synth_rate, .crf = int(options.crf), .sound_rate = sound.rate});
  writer.add_sound(sound);
  for (int i = 0; i < script.frames; ++i) writer.add(renderer.frame(i));
  writer.finish();
}

void write_manifests(const fs::path& folder, const std::vector<ClipScript>& scripts) {
  std::vector<Clip> all, train, test;
  for (const ClipScript& script : scripts) {
    all.push_back(to_clip(script, video_path(folder, script)));
    (script.part == SynthPart::train ? train : test).push_back(all.back());
  }
  write_manifest(folder / "manifest.jsonl", all);
  write_manifest(folder / "train.jsonl", train);
  write_manifest(folder / "test.jsonl", test);
}

void write_text(const fs::path& folder, const SynthOptions& options) {
  if (options.text_clips == 0) return;
  std::vector<Clip> clips;
  for (int64_t i = 0; i < options.text_clips; ++i) clips.push_back(draw_text_clip(options, i));
  write_manifest(folder / "text.jsonl", clips);
}

}  // namespace

SynthReport make_synth(const fs::path& folder, const SynthOptions& options, int workers) {
  check_options(options);
  check_folder(folder, options);
  const Photographs photographs(options.photographs.empty() ? default_photograph_folder() : fs::path(options.photographs));
  for (SynthPart part : {SynthPart::train, SynthPart::test}) check_voices(voices_of(part));
  const Json unfinished = summary(options, photographs, false);
  ensure_writable_folder(folder / "clips");
  write_json(summary_path(folder), unfinished);

  const std::vector<ClipScript> scripts = draw_scripts(options);
  SynthReport report{.clips = int64_t(scripts.size())};
  Progress progress("synth", "clips", report.clips);
  std::atomic<int64_t> made = 0;
  const int64_t finished = for_each_parallel(report.clips, workers, [&](int64_t index, int) {
    const ClipScript& script = scripts[size_t(index)];
    if (fs::exists(video_path(folder, script))) return progress.skip(1);
    make_clip(folder, options, script, photographs);
    ++made;
    progress.add();
  });
  progress.finish();
  report.made = made;
  report.already_there = finished - report.made;
  report.stopped = finished < report.clips;
  if (report.stopped) return report;
  write_manifests(folder, scripts);
  write_text(folder, options);
  write_json(summary_path(folder), summary(options, photographs, true));
  return report;
}

}  // namespace microemo::data
