#include "eval_clusters.h"

#include <map>

#include "microemo/base/json.h"

namespace microemo::cli {

PairNames names_of(const std::vector<eval::LabelPair>& pairs, const std::vector<data::Clip>& clips) {
  std::map<std::string, std::string> dialogues, speakers;
  for (const data::Clip& clip : clips) {
    dialogues[clip.id] = clip.dialogue;
    speakers[clip.id] = clip.speaker;
    for (size_t i = 0; i < clip.utterances.size(); ++i) {
      const std::string id = eval::utterance_id(clip.id, int64_t(i)), &own = clip.utterances[i].speaker;
      dialogues[id] = clip.dialogue;
      speakers[id] = own.empty() ? clip.speaker : own;
    }
  }
  PairNames names;
  for (const eval::LabelPair& pair : pairs) {
    names.dialogues.push_back(dialogues[pair.id]);
    names.speakers.push_back(speakers[pair.id]);
  }
  return names;
}

void write_labels(const std::filesystem::path& file, const std::vector<eval::LabelPair>& pairs, const PairNames& names,
                  const std::string& extractor) {
  std::vector<Json> lines;
  for (size_t i = 0; i < pairs.size(); ++i) {
    lines.push_back({{"id", pairs[i].id},
                     {"clip", pairs[i].clip},
                     {"labels", pairs[i].predicted},
                     {"truth", pairs[i].truth},
                     {"extractor", extractor}});
    if (!names.dialogues[i].empty()) lines.back()["dialogue"] = names.dialogues[i];
    if (!names.speakers[i].empty()) lines.back()["speaker"] = names.speakers[i];
  }
  write_jsonl(file, lines);
}

}  // namespace microemo::cli
