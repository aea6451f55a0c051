#include "microemo/eval/predictions.h"

#include <map>

#include "item_id.h"
#include "microemo/base/error.h"

namespace microemo::eval {
namespace {

void check_ids(const LabelFile& predictions, const LabelFile& truths,
               const std::map<std::string, const LabelledItem*>& predicted) {
  std::map<std::string, bool> wanted;
  std::vector<std::string> missing, extra;
  for (const LabelledItem& truth : truths.items) {
    wanted[truth.id] = true;
    if (!predicted.contains(truth.id)) missing.push_back(truth.id);
  }
  for (const LabelledItem& prediction : predictions.items)
    if (!wanted.contains(prediction.id)) extra.push_back(prediction.id);
  if (missing.empty() && extra.empty()) return;
  std::string message;
  if (!missing.empty())
    message = fmt::format("{} of {} truths have no prediction: {}", missing.size(), truths.items.size(), list_ids(missing));
  if (!extra.empty())
    message += fmt::format("{}{} of {} predictions have no truth: {}", message.empty() ? "" : "; ", extra.size(),
                           predictions.items.size(), list_ids(extra));
  throw DataError("{}", message)
      .at(predictions.path.string() + " against " + truths.path.string())
      .hint(hint_for_missing(missing, extra));
}

}  // namespace

std::string utterance_id(const std::string& clip, int64_t number) { return fmt::format("{}/{}", clip, number); }

LabelFile read_label_file(const std::filesystem::path& path) {
  Vocabulary words;
  LabelTable table = read_label_table(path, words);
  LabelFile file{LabelSource(table), {}, !table.dialogues.empty() || !table.speakers.empty()};
  for (size_t item = 0; item < table.size(); ++item) {
    const std::string_view id = table.id(item);
    const uint32_t maker = table.made_by[item];
    const std::string extractor = maker == no_number || table.names.text(maker) == given_labels ? "" : table.names.text(maker);
    file.items.push_back({std::string(id), std::string(clip_of_id(id)), {}, table.lines[item], extractor});
    for (const uint32_t label : table.labels_of(item)) file.items.back().labels.push_back(words.text(label));
  }
  return file;
}

std::vector<LabelPair> match_labels(const LabelFile& predictions, const LabelFile& truths) {
  std::map<std::string, const LabelledItem*> predicted;
  for (const LabelledItem& prediction : predictions.items) predicted[prediction.id] = &prediction;
  check_ids(predictions, truths, predicted);
  std::vector<LabelPair> pairs;
  for (const LabelledItem& truth : truths.items)
    pairs.push_back({truth.id, truth.clip, truth.labels, predicted[truth.id]->labels});
  return pairs;
}

}  // namespace microemo::eval
