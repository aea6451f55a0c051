#include "microemo/data/manifest.h"

#include <cmath>
#include <map>

#include "manifest_keys.h"
#include "microemo/base/files.h"
#include "microemo/base/hash.h"
#include "microemo/base/json.h"
#include "microemo/media/picture_folder.h"
#include "microemo/media/video_reader.h"
#include "microemo/text/transcript.h"

namespace microemo::data {
namespace {

namespace fs = std::filesystem;

/// Utterances may touch; times that went through decimal text may differ in their last bits.
constexpr double touching_s = 1e-6;
/// 115 days: no clip is so long, and later times are slips (milliseconds, dates).
constexpr double latest_s = 1e7;
/// Crops a second; high-speed cameras of facial expressions take 200.
constexpr double highest_rate = 1000;
/// Paths that are longer are shown by their ends.
constexpr size_t longest_shown = 200;

const std::vector<std::string> clip_keys = {"id",       "video",      "split",          "identity",   "speaker",
                                            "dialogue", "labels",     "transcript",     "utterances", "movements",
                                            "features", "face_crops", "face_crop_rate", "frame_rate"};
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

std::string time_text(double seconds) {
  return std::abs(seconds) <= latest_s ? fmt::format("{:.3f} s", seconds) : fmt::format("{:g} s", seconds);
}

std::string shown(const std::string& path) {
  if (path.size() <= longest_shown) return path;
  return path.substr(0, longest_shown / 2) + "..." + path.substr(path.size() - longest_shown / 2);
}

/// What a clip names under "video", "transcript" or a feature, which is there.
fs::path named_path(const Json& object, const char* key, const Place& place) {
  const auto name = needed_member<std::string>(object, key, place);
  if (name.find('\0') != std::string::npos)
    throw DataError("the path under \"{}\" has a character of code 0 in it", key)
        .where(place.file, place.line)
        .hint("write the path without it");
  const fs::path file = place.file.parent_path() / name;
  std::error_code trouble;
  const fs::file_status status = fs::status(file, trouble);
  if (status.type() == fs::file_type::not_found)
    throw DataError("the {} {} does not exist", key, shown(file.string()))
        .where(place.file, place.line)
        .hint(fmt::format("correct \"{}\"; relative paths start at the manifest's folder", key));
  if (trouble)
    throw DataError("the {} {} cannot be opened: {}", key, shown(file.string()), trouble.message())
        .where(place.file, place.line)
        .hint(fmt::format("correct \"{}\", or the file's name, links or permissions", key));
  return file;
}

fs::path named_file(const Json& object, const char* key, const Place& place) {
  const fs::path file = named_path(object, key, place);
  // A pipe would be waited for without end.
  if (!fs::is_regular_file(file))
    throw DataError("the {} {} is no file", key, shown(file.string()))
        .where(place.file, place.line)
        .hint(fmt::format("name a {} file; a folder, pipe or device is none", key));
  return file;
}

/// Frames a second: a number, or text for those that have no decimals.
double frame_rate(const Json& object, const Clip& clip, const Place& place) {
  const Json& value = object["frame_rate"];
  const auto rate = media::frame_rate_of(value.is_string() ? value.get<std::string>() : value.dump());
  if (rate) return *rate;
  throw DataError("the frame_rate of clip \"{}\" is {}", clip.id, value.dump())
      .where(place.file, place.line)
      .hint(fmt::format("it is the number of pictures a second, such as 25 or \"30000/1001\": from {:g} to {:g}",
                        media::least_frame_rate, media::most_frame_rate));
}

/// A file, or a folder of pictures where their rate is given.
void read_video_into(Clip& clip, const Json& object, const Place& place) {
  if (object.contains("frame_rate")) clip.frame_rate = frame_rate(object, clip, place);
  if (clip.frame_rate > 0 && !object.contains("video"))
    throw DataError("clip \"{}\" has a \"frame_rate\" and no \"video\"", clip.id)
        .where(place.file, place.line)
        .hint("name the folder of its pictures under \"video\", or leave the rate out");
  if (!object.contains("video")) return;
  clip.video = named_path(object, "video", place);
  const bool is_folder = fs::is_directory(clip.video);
  if (clip.frame_rate > 0 && !is_folder)
    throw DataError("clip \"{}\" has a \"frame_rate\", and its video {} is no folder", clip.id, shown(clip.video.string()))
        .where(place.file, place.line)
        .hint("leave the rate out, as a file has its own times; or name a folder of pictures");
  if (clip.frame_rate == 0 && is_folder)
    throw DataError("the video {} is no file", shown(clip.video.string()))
        .where(place.file, place.line)
        .hint("name a video file; or, for a folder of pictures, give \"frame_rate\": the pictures a second");
  if (clip.frame_rate == 0) clip.video = named_file(object, "video", place);
}

/// Text without times belongs to the whole clip.
Utterance utterance_of_whole(const Clip& clip, const std::string& words, const fs::path& transcript, const Place& place) {
  const double length_s = clip.video.empty() ? 0 : media::probe(media_of(clip)).duration_s;
  if (length_s <= 0)
    throw DataError("the transcript {} has no times, and the length of clip \"{}\" is not known", shown(transcript.string()),
                    clip.id)
        .where(place.file, place.line)
        .hint(R"(write it as "utterances": [{"start_s": …, "end_s": …, "text": …}])");
  return {.start_s = 0, .end_s = length_s, .text = words};
}

std::vector<Utterance> utterances_of_transcript(const Clip& clip, const fs::path& file, const Place& place) {
  const text::Transcript transcript = text::read_transcript(file);
  if (!transcript.timed) return {utterance_of_whole(clip, transcript.text, file, place)};
  std::vector<Utterance> utterances;
  for (const text::Cue& cue : transcript.cues) {
    if (!utterances.empty() && cue.start_s < utterances.back().end_s - touching_s)
      throw DataError("the cue starts at {}, before the one above it ends ({})", time_text(cue.start_s),
                      time_text(utterances.back().end_s))
          .where(file, cue.line)
          .hint("utterances must not overlap: cut one of the two, or let microemo media transcript --overlap cut --srt do it");
    utterances.push_back({.start_s = cue.start_s, .end_s = cue.end_s, .text = cue.text, .speaker = cue.speaker});
  }
  return utterances;
}

void check_utterances(const Clip& clip, const Place& place) {
  for (size_t i = 0; i < clip.utterances.size(); ++i) {
    const auto [start, end] = std::pair{clip.utterances[i].start_s, clip.utterances[i].end_s};
    const std::string name = fmt::format("utterance {} of clip \"{}\"", i + 1, clip.id);
    if (start < 0)
      throw DataError("{} starts at {}", name, time_text(start))
          .where(place.file, place.line)
          .hint("times count from the start of the clip, 0 s");
    if (end <= start)
      throw DataError("{} starts at {} and ends at {}", name, time_text(start), time_text(end))
          .where(place.file, place.line)
          .hint("an utterance must end after it starts");
    if (end > latest_s)
      throw DataError("{} ends at {}, and no clip is so long", name, time_text(end))
          .where(place.file, place.line)
          .hint("times are seconds from the start of the clip");
    if (i > 0 && start < clip.utterances[i - 1].end_s - touching_s)
      throw DataError("{} starts at {}, before the one above it ends ({})", name, time_text(start),
                      time_text(clip.utterances[i - 1].end_s))
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
  if (movement.onset_s < 0 || movement.apex_s < movement.onset_s || movement.offset_s < movement.apex_s ||
      movement.offset_s > latest_s)
    throw DataError("{} has onset {}, apex {}, offset {}", name, time_text(movement.onset_s), time_text(movement.apex_s),
                    time_text(movement.offset_s))
        .where(place.file, place.line)
        .hint("the three times are seconds of the clip: not negative, and each not before the one above it");
  if (movement.utterance < -1 || movement.utterance >= int64_t(clip.utterances.size()))
    throw DataError("{} names utterance {}, and the clip has {}", name, movement.utterance, clip.utterances.size())
        .where(place.file, place.line)
        .hint("utterances are counted from 0; -1 is none");
  return movement;
}

void read_utterances_into(Clip& clip, const Json& object, const Place& place) {
  const bool named = object.contains("transcript");
  if (named && object.contains("utterances"))
    throw DataError("clip \"{}\" has both \"transcript\" and \"utterances\"", clip.id)
        .where(place.file, place.line)
        .hint("keep one of the two");
  if (named) clip.utterances = utterances_of_transcript(clip, named_file(object, "transcript", place), place);
  if (object.contains("utterances")) clip.utterances = utterances_of_line(object, place);
  check_utterances(clip, place);
}

void read_features_into(Clip& clip, const Json& object, const Place& place) {
  if (!object.contains("features")) return;
  const Json& features = object["features"];
  if (!features.is_object())
    throw DataError("the features of clip \"{}\" are no object", clip.id)
        .where(place.file, place.line)
        .hint("write them as {\"name\": \"file.npy\", …}");
  for (const auto& [name, file] : features.items()) clip.features[name] = named_file(features, name.c_str(), place);
}

void read_face_crops_into(Clip& clip, const Json& object, const Place& place) {
  if (object.contains("face_crops")) clip.face_crops = named_file(object, "face_crops", place);
  if (!object.contains("face_crop_rate")) return;
  clip.face_crop_rate = needed_member<double>(object, "face_crop_rate", place);
  if (clip.face_crops.empty())
    throw DataError("clip \"{}\" has a \"face_crop_rate\" and no \"face_crops\"", clip.id)
        .where(place.file, place.line)
        .hint("name the file of crops, or leave the rate out");
  if (!(clip.face_crop_rate > 0 && clip.face_crop_rate <= highest_rate))
    throw DataError("the face_crop_rate of clip \"{}\" is {:g}", clip.id, clip.face_crop_rate)
        .where(place.file, place.line)
        .hint(fmt::format("it is the number of crops a second: above 0, at most {:g}", highest_rate));
}

Clip read_clip(const Json& object, const Place& place) {
  refuse_unknown_keys(object, clip_keys, "a clip", place.file, place.line);
  Clip clip;
  clip.line = place.line;
  clip.id = needed_member<std::string>(object, "id", place);
  if (clip.id.empty()) throw DataError("the clip's id is empty").where(place.file, place.line).hint("give every clip its own id");
  read_video_into(clip, object, place);
  clip.split = optional_member<std::string>(object, "split", place);
  clip.identity = optional_member<std::string>(object, "identity", place);
  clip.speaker = optional_member<std::string>(object, "speaker", place);
  clip.dialogue = optional_member<std::string>(object, "dialogue", place);
  clip.labels = labels_of(object, place);
  read_utterances_into(clip, object, place);
  for (const Json& movement : optional_member<std::vector<Json>>(object, "movements", place))
    clip.movements.push_back(read_movement(movement, clip, place));
  read_features_into(clip, object, place);
  read_face_crops_into(clip, object, place);
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
