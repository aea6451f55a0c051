#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "microemo/base/progress.h"
#include "microemo/base/workers.h"
#include "microemo/data/check.h"
#include "microemo/data/manifest.h"
#include "microemo/media/video_reader.h"

namespace microemo::data {
namespace {

namespace fs = std::filesystem;

struct Names {
  std::set<std::string> identities, speakers, dialogues;
};

void count_clip(const Clip& clip, ManifestStats& stats, Names& names, std::vector<double>& lengths_s) {
  SplitStats& split = stats.splits[clip.split];
  ++split.clips;
  if (!clip.identity.empty()) names.identities.insert(clip.identity);
  if (!clip.speaker.empty()) names.speakers.insert(clip.speaker);
  if (!clip.dialogue.empty()) names.dialogues.insert(clip.dialogue);
  for (const std::string& label : clip.labels) ++stats.labels[label];
  for (const Movement& movement : clip.movements) ++stats.movements[movement.unit];
  for (const Utterance& utterance : clip.utterances) {
    ++split.utterances;
    split.labelled += !utterance.labels.empty() || !utterance.answer.empty();
    split.speech_s += utterance.end_s - utterance.start_s;
    lengths_s.push_back(utterance.end_s - utterance.start_s);
    if (!utterance.speaker.empty()) names.speakers.insert(utterance.speaker);
    for (const std::string& label : utterance.labels) ++stats.labels[label];
  }
}

void count_lengths(std::vector<double> lengths_s, ManifestStats& stats) {
  if (lengths_s.empty()) return;
  std::sort(lengths_s.begin(), lengths_s.end());
  stats.utterance_min_s = lengths_s.front();
  stats.utterance_median_s = (lengths_s[(lengths_s.size() - 1) / 2] + lengths_s[lengths_s.size() / 2]) / 2;
  stats.utterance_max_s = lengths_s.back();
}

void count_media(const media::VideoInfo& info, ManifestStats& stats) {
  stats.media_s += info.duration_s;
  stats.without_sound += !info.has_audio;
  stats.without_picture += !info.has_video;
  if (info.has_video) ++stats.pictures[fmt::format("{}x{}", info.width, info.height)];
  const std::string video = info.has_video ? info.video_codec : "no picture",
                    audio = info.has_audio ? info.audio_codec : "no sound";
  ++stats.codecs[video + " + " + audio];
}

}  // namespace

ManifestStats manifest_stats(const std::vector<fs::path>& manifests, int workers) {
  std::vector<Clip> clips;
  for (const fs::path& path : manifests)
    for (Clip& clip : read_manifest(path).clips) clips.push_back(std::move(clip));
  ManifestStats stats;
  std::map<std::string, Names> names;
  std::vector<double> lengths_s;
  for (const Clip& clip : clips) count_clip(clip, stats, names[clip.split], lengths_s);
  count_lengths(lengths_s, stats);
  for (auto& [name, split] : stats.splits) {
    split.identities = int64_t(names[name].identities.size());
    split.speakers = int64_t(names[name].speakers.size());
    split.dialogues = int64_t(names[name].dialogues.size());
  }
  std::vector<media::VideoInfo> infos(clips.size());
  Progress progress("open", "clips", int64_t(clips.size()));
  for_each_parallel(int64_t(clips.size()), workers, [&](int64_t i, int) {
    if (!clips[size_t(i)].video.empty()) infos[size_t(i)] = media::probe(media_of(clips[size_t(i)]));
    progress.add();
  });
  for (size_t i = 0; i < clips.size(); ++i) {
    if (clips[i].video.empty())
      ++stats.words_alone;
    else
      count_media(infos[i], stats);
  }
  return stats;
}

Json to_json(const ManifestStats& stats) {
  Json splits = Json::object();
  for (const auto& [name, split] : stats.splits)
    splits[name] = {{"clips", split.clips},           {"utterances", split.utterances}, {"labelled", split.labelled},
                    {"identities", split.identities}, {"speakers", split.speakers},     {"dialogues", split.dialogues},
                    {"speech_s", split.speech_s}};
  return {{"splits", splits},
          {"labels", stats.labels},
          {"movements", stats.movements},
          {"utterance_s", {{"min", stats.utterance_min_s}, {"median", stats.utterance_median_s}, {"max", stats.utterance_max_s}}},
          {"media_s", stats.media_s},
          {"words_alone", stats.words_alone},
          {"without_sound", stats.without_sound},
          {"without_picture", stats.without_picture},
          {"pictures", stats.pictures},
          {"codecs", stats.codecs}};
}

}  // namespace microemo::data
