#include "microemo/data/manifest.h"

#include <cmath>
#include <map>

#include "manifest_keys.h"
#include "microemo/base/files.h"
#include "microemo/base/hash.h"
#include "microemo/base/json.h"
#include "microemo/text/transcript.h"

namespace microemo::data {
namespace {

namespace fs = std::filesystem;

/// Utterances may touch; times that went through decimal text may differ in their last bits.
constexpr double touching_s = 1e-6;

const std::vector<std::string> clip_keys = {"id",     "video",      "split",      "identity", "speaker",
                                            "labels", "transcript", "utterances", "movements"};
const std::vector<std::string> utterance_keys = {"start_s", "end_s",    "text", "speaker", "labels",
                                                 "answer",  "question", "face", "voice",   "words"};
const std::vector<std::string> movement_keys = {"unit", "onset_s", "apex_s", "offset_s", "amplitude", "utterance"};

struct Place {
  const fs::path& file;
  int64_t line;
};

template <class T>
T optional_member(const Json& object, const char* key, const Place& place) {
  return json_get_or<T>(object, key, T{}, place.file, place.line);
}

template <class T>
T needed_member(const Json& object, const char* key, const Place& place) {
  return json_get<T>(object, key, place.file, place.line);
}

std::vector<std::string> labels_of(const Json& object, const Place& place) {
  auto labels = optional_member<std::vector<std::string>>(object, "labels", place);
  for (const std::string& label : labels)
    if (label.empty()) throw DataError("a label is empty").where(place.file, place.line).hint("remove it, or write the label");
  return labels;
}

Utterance read_utterance(const Json& object, const Place& place) {
  refuse_unknown_keys(object, utterance_keys, "an utterance", place.file, place.line);
  Utterance utterance;
  utterance.start_s = needed_member<double>(object, "start_s", place);
  utterance.end_s = needed_member<double>(object, "end_s", place);
  utterance.labels = labels_of(object, place);
  const auto text = [&](const char* key) { return optional_member<std::string>(object, key, place); };
  utterance.text = text("text");
  utterance.speaker = text("speaker");
  utterance.answer = text("answer");
  utterance.question = text("question");
  utterance.face = text("face");
  utterance.voice = text("voice");
  utterance.words = text("words");
  return utterance;
}

std::vector<Utterance> utterances_of_line(const Json& object, const Place& place) {
  std::vector<Utterance> utterances;
  for (const Json& utterance : needed_member<std::vector<Json>>(object, "utterances", place))
    utterances.push_back(read_utterance(utterance, place));
  return utterances;
}

std::vector<Utterance> utterances_of_transcript(const fs::path& transcript, const Place& place) {
  if (!fs::exists(transcript))
    throw DataError("the transcript {} does not exist", transcript.string())
        .where(place.file, place.line)
        .hint("correct \"transcript\"; relative paths start at the manifest's folder");
  std::vector<Utterance> utterances;
  for (const text::Cue& cue : text::read_srt(transcript)) {
    if (!utterances.empty() && cue.start_s < utterances.back().end_s - touching_s)
      throw DataError("the cue starts at {:.3f} s, before the one above it ends ({:.3f} s)", cue.start_s, utterances.back().end_s)
          .where(transcript, cue.line)
          .hint("utterances must not overlap: cut one of the two");
    utterances.push_back({.start_s = cue.start_s, .end_s = cue.end_s, .text = cue.text});
  }
  return utterances;
}

void check_utterances(const Clip& clip, const Place& place) {
  for (size_t i = 0; i < clip.utterances.size(); ++i) {
    const auto [start, end] = std::pair{clip.utterances[i].start_s, clip.utterances[i].end_s};
    const std::string name = fmt::format("utterance {} of clip \"{}\"", i + 1, clip.id);
    if (start < 0)
      throw DataError("{} starts at {:.3f} s", name, start)
          .where(place.file, place.line)
          .hint("times count from the start of the clip, 0 s");
    if (end <= start)
      throw DataError("{} starts at {:.3f} s and ends at {:.3f} s", name, start, end)
          .where(place.file, place.line)
          .hint("an utterance must end after it starts");
    if (i > 0 && start < clip.utterances[i - 1].end_s - touching_s)
      throw DataError("{} starts at {:.3f} s, before the one above it ends ({:.3f} s)", name, start, clip.utterances[i - 1].end_s)
          .where(place.file, place.line)
          .hint("utterances stand in order of time and do not overlap: correct the times");
  }
}

Movement read_movement(const Json& object, const Clip& clip, const Place& place) {
  refuse_unknown_keys(object, movement_keys, "a movement", place.file, place.line);
  Movement movement;
  movement.unit = needed_member<std::string>(object, "unit", place);
  movement.onset_s = needed_member<double>(object, "onset_s", place);
  movement.apex_s = needed_member<double>(object, "apex_s", place);
  movement.offset_s = needed_member<double>(object, "offset_s", place);
  movement.amplitude = optional_member<double>(object, "amplitude", place);
  movement.utterance = json_get_or<int64_t>(object, "utterance", -1, place.file, place.line);
  const std::string name = fmt::format("movement \"{}\" of clip \"{}\"", movement.unit, clip.id);
  if (movement.onset_s < 0 || movement.apex_s < movement.onset_s || movement.offset_s < movement.apex_s)
    throw DataError("{} has onset {:.3f} s, apex {:.3f} s, offset {:.3f} s", name, movement.onset_s, movement.apex_s,
                    movement.offset_s)
        .where(place.file, place.line)
        .hint("the three times must not be negative and must follow each other");
  if (movement.utterance < -1 || movement.utterance >= int64_t(clip.utterances.size()))
    throw DataError("{} names utterance {}, and the clip has {}", name, movement.utterance, clip.utterances.size())
        .where(place.file, place.line)
        .hint("utterances are counted from 0; -1 is none");
  return movement;
}

fs::path existing_video(const Json& object, const Place& place) {
  const fs::path video = place.file.parent_path() / needed_member<std::string>(object, "video", place);
  if (!fs::exists(video))
    throw DataError("the video {} does not exist", video.string())
        .where(place.file, place.line)
        .hint("correct \"video\"; relative paths start at the manifest's folder");
  // A pipe would be waited for without end.
  if (!fs::is_regular_file(video))
    throw DataError("the video {} is no file", video.string()).where(place.file, place.line).hint("name a media file");
  return video;
}

void read_utterances_into(Clip& clip, const Json& object, const Place& place) {
  const bool named = object.contains("transcript");
  if (named && object.contains("utterances"))
    throw DataError("clip \"{}\" has both \"transcript\" and \"utterances\"", clip.id)
        .where(place.file, place.line)
        .hint("keep one of the two");
  if (named)
    clip.utterances =
        utterances_of_transcript(place.file.parent_path() / needed_member<std::string>(object, "transcript", place), place);
  if (object.contains("utterances")) clip.utterances = utterances_of_line(object, place);
  check_utterances(clip, place);
}

Clip read_clip(const Json& object, const Place& place) {
  refuse_unknown_keys(object, clip_keys, "a clip", place.file, place.line);
  Clip clip;
  clip.line = place.line;
  clip.id = needed_member<std::string>(object, "id", place);
  if (clip.id.empty()) throw DataError("the clip's id is empty").where(place.file, place.line).hint("give every clip its own id");
  clip.video = existing_video(object, place);
  clip.split = optional_member<std::string>(object, "split", place);
  clip.identity = optional_member<std::string>(object, "identity", place);
  clip.speaker = optional_member<std::string>(object, "speaker", place);
  clip.labels = labels_of(object, place);
  read_utterances_into(clip, object, place);
  for (const Json& movement : optional_member<std::vector<Json>>(object, "movements", place))
    clip.movements.push_back(read_movement(movement, clip, place));
  return clip;
}

/// Ids seen so far with their lines.
using Ids = std::map<std::string, int64_t>;

Clip read_line(std::string_view text, Ids& ids, const Place& place) {
  Json object;
  try {
    object = parse_json(text, place.file);
  } catch (Error& mistake) {
    throw mistake.where(place.file, place.line);
  }
  Clip clip = read_clip(object, place);
  const auto [earlier, is_new] = ids.emplace(clip.id, place.line);
  if (!is_new)
    throw DataError("the id \"{}\" stands on line {} already", clip.id, earlier->second)
        .where(place.file, place.line)
        .hint("give every clip its own id");
  return clip;
}

}  // namespace

Manifest read_manifest(const fs::path& path) {
  return read_manifest(path, [](const Error& mistake, int64_t) { throw mistake; });
}

Manifest read_manifest(const fs::path& path, const std::function<void(const Error& mistake, int64_t line)>& on_error) {
  const std::string text = read_file(path);
  Manifest manifest{path, sha256(text), {}};
  Ids ids;
  int64_t number = 0, used = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const auto line = std::string_view(text).substr(begin, end - begin);
    begin = end + 1;
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    ++used;
    try {
      manifest.clips.push_back(read_line(line, ids, {path, number}));
    } catch (const Error& mistake) {
      on_error(mistake, number);
    }
  }
  if (used == 0)
    throw DataError("the manifest is empty").where(path).hint("write one clip a line; data/README.md has the layout");
  return manifest;
}

}  // namespace microemo::data
