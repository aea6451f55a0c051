#include "microemo/base/json.h"
#include "microemo/data/manifest.h"

namespace microemo::data {
namespace {

namespace fs = std::filesystem;

fs::path full_path(const fs::path& path) { return fs::absolute(path).lexically_normal(); }

/// A manifest and the files below it can be moved together.
std::string file_name(const fs::path& file, const fs::path& manifest) {
  const fs::path name = full_path(file).lexically_relative(full_path(manifest).parent_path());
  const bool below = !name.empty() && *name.begin() != "..";
  return below ? name.string() : full_path(file).string();
}

void put_text(Json& object, const char* key, const std::string& text) {
  if (!text.empty()) object[key] = text;
}

void put_labels(Json& object, const std::vector<std::string>& labels) {
  if (!labels.empty()) object["labels"] = labels;
}

Json to_json(const Utterance& utterance) {
  Json object = {{"start_s", utterance.start_s}, {"end_s", utterance.end_s}};
  put_text(object, "text", utterance.text);
  put_text(object, "speaker", utterance.speaker);
  put_labels(object, utterance.labels);
  put_text(object, "question", utterance.question);
  put_text(object, "answer", utterance.answer);
  put_text(object, "face", utterance.face);
  put_text(object, "voice", utterance.voice);
  put_text(object, "words", utterance.words);
  return object;
}

Json to_json(const Movement& movement) {
  return {{"unit", movement.unit},         {"onset_s", movement.onset_s},     {"apex_s", movement.apex_s},
          {"offset_s", movement.offset_s}, {"amplitude", movement.amplitude}, {"utterance", movement.utterance}};
}

template <class T>
void put_list(Json& object, const char* key, const std::vector<T>& items) {
  if (items.empty()) return;
  Json list = Json::array();
  for (const T& item : items) list.push_back(to_json(item));
  object[key] = std::move(list);
}

Json to_json(const Clip& clip, const fs::path& manifest) {
  Json object = {{"id", clip.id}};
  if (!clip.video.empty()) object["video"] = file_name(clip.video, manifest);
  if (clip.frame_rate > 0) object["frame_rate"] = clip.frame_rate;
  put_text(object, "split", clip.split);
  put_text(object, "identity", clip.identity);
  put_text(object, "speaker", clip.speaker);
  put_text(object, "dialogue", clip.dialogue);
  put_labels(object, clip.labels);
  put_list(object, "utterances", clip.utterances);
  put_list(object, "movements", clip.movements);
  if (!clip.face_crops.empty()) object["face_crops"] = file_name(clip.face_crops, manifest);
  if (clip.face_crop_rate > 0) object["face_crop_rate"] = clip.face_crop_rate;
  for (const auto& [name, file] : clip.features) object["features"][name] = file_name(file, manifest);
  return object;
}

}  // namespace

void write_manifest(const fs::path& path, const std::vector<Clip>& clips) {
  std::vector<Json> lines;
  for (const Clip& clip : clips) lines.push_back(to_json(clip, path));
  write_jsonl(path, lines);
}

}  // namespace microemo::data
