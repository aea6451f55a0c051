#include "microemo/eval/metrics.h"

#include <algorithm>
#include <set>

#include "metric_parts.h"
#include "microemo/base/error.h"
#include "microemo/eval/labels.h"
#include "microemo/formats/npy.h"
#include "microemo/formats/zip.h"

namespace microemo::eval {
namespace {

/// Counts under a grouping, computed once for all metrics that use it.
class Columns {
 public:
  explicit Columns(const MetricSources& sources) : sources_(sources) {}

  std::vector<std::vector<SetCounts>> of(const Metric& metric) {
    std::vector<std::vector<SetCounts>> columns;
    for (const std::string& grouping : metric.groupings) columns.push_back(column(metric.release, grouping));
    return columns;
  }
  const std::vector<SetCounts>& column(const std::string& release, const std::string& grouping) {
    auto& column = columns_[{release, grouping}];
    const LabelFiles& files = *sources_.labels;
    if (column.empty())
      column = count_sets(files.predictions, files.truths, files.match, forms(release),
                          sources_.wheels.at(release).classes.column(grouping));
    return column;
  }
  /// Of every word, under all groupings of a release.
  const std::vector<uint32_t>& forms(const std::string& release) {
    auto& forms = forms_[release];
    if (forms.empty()) forms = find_forms(sources_.labels->words, sources_.wheels.at(release).classes);
    return forms;
  }

 private:
  const MetricSources& sources_;
  std::map<std::pair<std::string, std::string>, std::vector<SetCounts>> columns_;
  std::map<std::string, std::vector<uint32_t>> forms_;
};

/// Words without an entry in the wheel's table of word forms, which every grouping drops.
UnknownLabels unknown_words(const LabelFiles& files, const std::vector<uint32_t>& forms) {
  std::vector<int64_t> truth(files.words.size()), predicted(files.words.size());
  for (const uint32_t word : files.truths.labels) ++truth[word];
  for (const uint32_t item : files.match.prediction_of)
    for (const uint32_t word : files.predictions.labels_of(item)) ++predicted[word];
  UnknownLabels unknown;
  for (uint32_t word = 0; word < files.words.size(); ++word) {
    if (forms[word] != no_number || truth[word] + predicted[word] == 0) continue;
    const std::string label = normalise_label(files.words.text(word));
    if (truth[word] > 0) unknown.truth[label] += truth[word];
    if (predicted[word] > 0) unknown.predicted[label] += predicted[word];
  }
  return unknown;
}

const LabelFiles& files_of(const Metric& metric, const MetricSources& sources) {
  const LabelFiles* files = is_of_sentiment(metric) ? sources.sentiment : sources.labels;
  MICROEMO_CHECK(files != nullptr, "metric {} without its files", metric.name);
  return *files;
}

/// The additive parts of sets and hits: they are many, and only wanted for intervals.
void add_parts(ComputedMetric& computed, const std::vector<std::vector<SetCounts>>& counts) {
  const bool sets = computed.result.metric.family == MetricFamily::wheel_sets;
  const uint32_t width = sets ? 3 : 2;
  computed.parts.slot_count = width * static_cast<uint32_t>(counts.size());
  for (size_t item = 0; item < counts.front().size(); ++item) {
    for (uint32_t column = 0; column < counts.size(); ++column) {
      const SetCounts& count = counts[column][item];
      if (count.truth == 0) continue;
      computed.parts.add(width * column, 1);
      if (sets) {
        computed.parts.add(width * column + 1, precision_of(count));
        computed.parts.add(width * column + 2, recall_of(count));
      } else {
        const bool hit = computed.result.metric.family == MetricFamily::hit_rate;
        computed.parts.add(width * column + 1, hit ? count.shared : mscore_of(count));
      }
    }
    computed.parts.end_item();
  }
}

ComputedMetric compute(const Metric& metric, const MetricSources& sources, Columns& columns, bool with_parts) {
  const LabelFiles& files = files_of(metric, sources);
  if (metric.family == MetricFamily::cached_groups) return compute_cached(metric, files, sources.groups);
  if (!needs_wheel(metric)) return compute_classes(metric, files);
  MICROEMO_CHECK(sources.wheels.contains(metric.release), "metric {} without its wheels", metric.name);
  const auto counts = columns.of(metric);
  ComputedMetric computed =
      metric.family == MetricFamily::wheel_sets ? compute_sets(metric, counts) : compute_hits(metric, counts);
  computed.result.unknown = unknown_words(files, columns.forms(metric.release));
  if (with_parts) add_parts(computed, counts);
  return computed;
}

/// The metrics' sums side by side.
ScoreParts join(const std::vector<ComputedMetric>& computed, size_t items) {
  ScoreParts joined;
  for (size_t item = 0; item < items; ++item) {
    uint32_t first = 0;
    for (const ComputedMetric& one : computed) {
      for (uint64_t at = item == 0 ? 0 : one.parts.ends[item - 1]; at < one.parts.ends[item]; ++at)
        joined.add(first + one.parts.slots[at], one.parts.amounts[at]);
      first += one.parts.slot_count;
    }
    joined.slot_count = first;
    joined.end_item();
  }
  return joined;
}

void add_intervals(std::vector<ComputedMetric>& computed, const Clusters& clusters, const BootstrapOptions& bootstrap) {
  std::vector<ScoreOfSums> scores;
  size_t first = 0;
  for (const ComputedMetric& one : computed) {
    const size_t start = first, count = one.parts.slot_count;
    scores.push_back(
        [start, count, score = one.score](std::span<const double> sums) { return score(sums.subspan(start, count)); });
    first += count;
  }
  const auto intervals = bootstrap_scores(join(computed, clusters.numbers.size()), clusters.numbers, scores, bootstrap);
  for (size_t i = 0; i < computed.size(); ++i) computed[i].result.interval = intervals[i];
}

bool names_all(const std::vector<uint32_t>& column) {
  return !column.empty() && std::ranges::find(column, no_number) == column.end();
}

std::vector<uint32_t> clip_numbers(const LabelTable& truths) {
  Vocabulary clips;
  std::vector<uint32_t> numbers;
  for (size_t item = 0; item < truths.size(); ++item) numbers.push_back(clips.number(clip_of_id(truths.id(item))));
  return numbers;
}

/// Numbers from 0 without gaps: dialogues and speakers share one vocabulary.
std::vector<uint32_t> without_gaps(const std::vector<uint32_t>& column) {
  std::map<uint32_t, uint32_t> numbers;
  std::vector<uint32_t> dense;
  for (const uint32_t number : column)
    dense.push_back(numbers.emplace(number, static_cast<uint32_t>(numbers.size())).first->second);
  return dense;
}

}  // namespace

LabelFiles read_label_files(const std::filesystem::path& predictions, const std::filesystem::path& truths, LabelContent content) {
  LabelFiles files;
  files.predictions = read_label_table(predictions, files.words, content);
  files.truths = read_label_table(truths, files.words, content);
  files.match = match_tables(files.predictions, files.truths);
  return files;
}

Clusters make_clusters(const LabelTable& truths, ClusterKind kind) {
  if (kind == ClusterKind::best)
    kind = names_all(truths.dialogues)  ? ClusterKind::dialogue
           : names_all(truths.speakers) ? ClusterKind::speaker
                                        : ClusterKind::clip;
  if (kind == ClusterKind::clip) return {"clip", clip_numbers(truths)};
  const bool dialogue = kind == ClusterKind::dialogue;
  const std::vector<uint32_t>& column = dialogue ? truths.dialogues : truths.speakers;
  const char* name = dialogue ? "dialogue" : "speaker";
  if (names_all(column)) return {name, without_gaps(column)};
  std::vector<std::string> unnamed;
  for (size_t item = 0; item < truths.size(); ++item)
    if (column.empty() || column[item] == no_number) unnamed.emplace_back(truths.id(item));
  throw DataError("{} of {} truths name no {}: {}", unnamed.size(), truths.size(), name, list_ids(unnamed))
      .where(truths.path)
      .hint(fmt::format("add \"{}\" to every line, or resample clips", name));
}

int64_t UnknownLabels::count() const {
  int64_t total = 0;
  for (const auto* labels : {&predicted, &truth})
    for (const auto& [label, times] : *labels) total += times;
  return total;
}

int64_t UnknownLabels::distinct() const {
  return static_cast<int64_t>(predicted.size()) +
         std::ranges::count_if(truth, [&](const auto& label) { return !predicted.contains(label.first); });
}

std::map<std::string, std::string> read_cached_groups(const std::filesystem::path& zip_file) {
  const formats::ZipFile archive(zip_file);
  std::map<std::string, std::string> groups;
  for (const formats::ZipEntry& entry : archive.entries()) {
    const std::filesystem::path name = entry.name;
    if (name.extension() != ".npy") continue;
    const formats::NpyArray text = formats::parse_npy(archive.read(entry), zip_file / name);
    if (text.kind != formats::NpyKind::text || text.texts.size() != 1)
      throw DataError("a cached grouping is one text, not {}", text.describe()).where(zip_file / name);
    if (!groups.emplace(name.stem(), text.texts[0]).second)
      throw DataError("'{}' is grouped twice", name.stem().string()).where(zip_file);
  }
  if (groups.empty())
    throw DataError("the archive holds no .npy file")
        .where(zip_file)
        .hint("a cache of groupings has one .npy text for every sample, as MER2024's openset-synonym.zip");
  return groups;
}

std::vector<MetricResult> score_metrics(const std::vector<Metric>& metrics, const MetricSources& sources, ClusterKind clusters,
                                        const BootstrapOptions& bootstrap) {
  Columns columns(sources);
  // Files of labels and of sentiment may have other items: each has resamples of its own.
  std::vector<ComputedMetric> of_labels, of_sentiment;
  for (const Metric& metric : metrics)
    (is_of_sentiment(metric) ? of_sentiment : of_labels).push_back(compute(metric, sources, columns, bootstrap.resamples > 0));
  if (bootstrap.resamples > 0) {
    if (!of_labels.empty()) add_intervals(of_labels, make_clusters(sources.labels->truths, clusters), bootstrap);
    if (!of_sentiment.empty()) add_intervals(of_sentiment, make_clusters(sources.sentiment->truths, clusters), bootstrap);
  }
  std::vector<MetricResult> results;
  size_t labels = 0, sentiment = 0;
  for (const Metric& metric : metrics)
    results.push_back(std::move(is_of_sentiment(metric) ? of_sentiment[sentiment++] : of_labels[labels++]).result);
  return results;
}

MetricParts parts_of(const Metric& metric, const MetricSources& sources) {
  Columns columns(sources);
  ComputedMetric computed = compute(metric, sources, columns, true);
  return {std::move(computed.parts), std::move(computed.score)};
}

}  // namespace microemo::eval
