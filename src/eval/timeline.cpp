#include "microemo/eval/timeline.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "microemo/base/error.h"
#include "microemo/base/hash.h"
#include "microemo/base/json.h"
#include "microemo/eval/extract.h"
#include "microemo/eval/label_table.h"
#include "microemo/eval/labels.h"

namespace microemo::eval {
namespace {

constexpr double none = std::numeric_limits<double>::quiet_NaN();

using Classes = std::set<std::string>;

std::vector<double> borders_of(const Timeline& truth, const Timeline& predicted) {
  std::vector<double> borders;
  for (const Timeline* timeline : {&truth, &predicted})
    for (const LabelledSegment& segment : *timeline) borders.insert(borders.end(), {segment.start_s, segment.end_s});
  std::ranges::sort(borders);
  borders.erase(std::unique(borders.begin(), borders.end()), borders.end());
  return borders;
}

Classes classes_at(const Timeline& timeline, double time, const Grouping& grouping) {
  Classes classes;
  for (const LabelledSegment& segment : timeline)
    if (segment.start_s <= time && time < segment.end_s) classes.merge(classes_of(segment.labels, grouping));
  return classes;
}

/// Adds seconds times score; divided by the time at the end.
void add(TimelineScore& sum, const Classes& truth, const Classes& predicted, double seconds) {
  if (truth.empty()) {
    if (!predicted.empty()) sum.idle_s += seconds;
    return;
  }
  const auto shared =
      static_cast<double>(std::ranges::count_if(truth, [&](const std::string& name) { return predicted.contains(name); }));
  const auto true_count = static_cast<double>(truth.size()), predicted_count = static_cast<double>(predicted.size());
  sum.labelled_s += seconds;
  if (!predicted.empty()) sum.covered_s += seconds;
  if (!predicted.empty()) sum.precision += seconds * shared / predicted_count;
  sum.recall += seconds * shared / true_count;
  sum.f += seconds * 2 * shared / (true_count + predicted_count);
}

void add_clip(TimelineScore& sum, const Timeline& truth, const Timeline& predicted, const Grouping& grouping) {
  const std::vector<double> borders = borders_of(truth, predicted);
  for (size_t i = 0; i + 1 < borders.size(); ++i)
    add(sum, classes_at(truth, borders[i], grouping), classes_at(predicted, borders[i], grouping), borders[i + 1] - borders[i]);
}

TimelineScore averaged(TimelineScore sum) {
  for (double* value : {&sum.precision, &sum.recall, &sum.f}) *value = sum.labelled_s > 0 ? *value / sum.labelled_s : none;
  return sum;
}

LabelledSegment read_segment(const Json& utterance, const std::filesystem::path& path, int64_t line) {
  LabelledSegment segment{
      json_get<double>(utterance, "start_s", path, line), json_get<double>(utterance, "end_s", path, line), {}};
  if (!(segment.start_s >= 0) || !(segment.end_s > segment.start_s) || !std::isfinite(segment.end_s))
    throw DataError("an utterance lasts from {} s to {} s", segment.start_s, segment.end_s)
        .where(path, line)
        .hint("times are seconds on the clip's clock, and it ends after it starts");
  if (utterance.contains("labels"))
    segment.labels = json_get<std::vector<std::string>>(utterance, "labels", path, line);
  else
    segment.labels = extract_labels(json_get<std::string>(utterance, "answer", path, line));
  return segment;
}

/// `made_by` made the labels unless the utterance names its own.
void add_segment(TimelineFile& file, Timeline& timeline, const Json& utterance, const std::string& made_by, int64_t line) {
  timeline.push_back(read_segment(utterance, file.path, line));
  file.extractors.insert(utterance.contains("labels") ? json_get_or<std::string>(utterance, "extractor", made_by, file.path, line)
                                                      : rules_extractor_name(own_lexicon()));
}

/// A line of an evaluation's answers.jsonl.
bool is_answer(const Json& object) {
  return object.is_object() && !object.contains("id") && object.contains("clip") && object.contains("utterance");
}

}  // namespace

TimelineFile read_timelines(const std::filesystem::path& path) {
  TimelineFile file{{path, sha256_file(path), {}, {}}, {}};
  std::set<std::pair<std::string, int64_t>> answered;
  read_jsonl(path, [&](const Json& object, int64_t line) {
    const auto made_by = json_get_or<std::string>(object, "extractor", std::string(given_labels), path, line);
    if (const auto split = json_get_or<std::string>(object, "split", "", path, line); !split.empty()) file.splits.insert(split);
    if (is_answer(object)) {
      const auto clip = json_get<std::string>(object, "clip", path, line);
      const auto number = json_get<int64_t>(object, "utterance", path, line);
      if (!answered.emplace(clip, number).second)
        throw DataError("utterance {} of clip '{}' stands a second time", number, clip)
            .where(path, line)
            .hint("give every utterance one line");
      return add_segment(file, file.clips[clip], object, made_by, line);
    }
    const auto id = json_get<std::string>(object, "id", path, line);
    const auto [place, is_new] = file.clips.try_emplace(id);
    if (!is_new) throw DataError("the id '{}' stands a second time", id).where(path, line).hint("give every id one line");
    for (const Json& utterance : json_get<std::vector<Json>>(object, "utterances", path, line))
      add_segment(file, place->second, utterance, made_by, line);
  });
  if (file.clips.empty()) throw DataError("the file holds no clips").where(path);
  return file;
}

TimelineScore score_timeline(const Timeline& truth, const Timeline& predicted, const Grouping& grouping) {
  TimelineScore sum;
  add_clip(sum, truth, predicted, grouping);
  return averaged(sum);
}

TimelineScore score_timelines(const std::map<std::string, Timeline>& truths, const std::map<std::string, Timeline>& predictions,
                              const Grouping& grouping) {
  std::vector<std::string> alone;
  for (const auto& [id, timeline] : truths)
    if (!predictions.contains(id)) alone.push_back(id);
  for (const auto& [id, timeline] : predictions)
    if (!truths.contains(id)) alone.push_back(id);
  if (!alone.empty())
    throw DataError("{} clips have a truth or a prediction, not both: {}", alone.size(), list_ids(alone))
        .at("timelines")
        .hint("score files of the same clips; a clip without answers has an empty list of utterances");
  TimelineScore sum;
  for (const auto& [id, truth] : truths) add_clip(sum, truth, predictions.at(id), grouping);
  return averaged(sum);
}

}  // namespace microemo::eval
