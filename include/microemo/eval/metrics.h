#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "microemo/base/json.h"
#include "microemo/eval/interval.h"
#include "microemo/eval/label_table.h"
#include "microemo/eval/metric_name.h"
#include "microemo/eval/resample.h"
#include "microemo/eval/set_counts.h"
#include "microemo/eval/wheel_release.h"

namespace microemo::eval {

/// A file of predictions beside a file of truths, with the words of both.
struct LabelFiles {
  Vocabulary words;
  LabelTable predictions, truths;
  TableMatch match;
};
/// Throws as read_label_table and match_tables.
LabelFiles read_label_files(const std::filesystem::path& predictions, const std::filesystem::path& truths, LabelContent content);

/// What resamples draw: items of one clip, dialogue or speaker are not independent.
enum class ClusterKind {
  best,  ///< the first of dialogue and speaker that every truth names, otherwise clip
  clip,
  dialogue,
  speaker
};
struct Clusters {
  std::string kind;               ///< "clip", "dialogue" or "speaker"
  std::vector<uint32_t> numbers;  ///< of every truth, from 0 without gaps
};
/// Throws Error(data) that lists the ids when the kind that is asked for is not named everywhere.
Clusters make_clusters(const LabelTable& truths, ClusterKind kind);

/// Labels that a metric does not know, with how often they occur in predictions and truths (only in those that have a truth).
struct UnknownLabels {
  std::map<std::string, int64_t> predicted, truth;
  int64_t count() const;
  int64_t distinct() const;
};

/// The value of one metric.
struct MetricResult {
  Metric metric;
  int64_t n = 0;                                             ///< truths that are scored under at least one grouping
  std::vector<int64_t> n_per_wheel = {};                     ///< where several groupings are averaged, of each
  std::vector<std::pair<std::string, double>> numbers = {};  ///< "precision", "recall", "f_score"; "value"; or "accuracy",
                                                             ///< "recall", "average". The last one is the metric's
  std::optional<Interval> interval = {};                     ///< of the last number
  UnknownLabels unknown = {};
  std::vector<std::string> notes = {};  ///< what a reader has to know: rules that had to be used on this data
};

/// What the metrics are computed from.
struct MetricSources {
  const LabelFiles* labels = nullptr;           ///< for all but sentiment
  const LabelFiles* sentiment = nullptr;        ///< for sentiment
  std::map<std::string, ReleaseWheels> wheels;  ///< by release
  std::map<std::string, std::string> groups;    ///< of mer2024-gpt: cached groups by id (see parse_cached_groups)
};

/// Cached groups, one NumPy text a sample: the .npy files of a zip such as MER2024's openset-synonym.zip, by their names. Throws
/// Error(data) when there is none, or one is no text.
std::map<std::string, std::string> read_cached_groups(const std::filesystem::path& zip_file);

/// All of the metrics, in their order. Without `bootstrap.resamples` there are no intervals. Throws Error(internal) when a source
/// is missing that a metric needs; Error(data) as pair_classes and pair_sentiment, when a cached grouping has no truth or an
/// empty truth with a prediction, and when two files of truths disagree.
std::vector<MetricResult> score_metrics(const std::vector<Metric>& metrics, const MetricSources& sources, ClusterKind clusters,
                                        const BootstrapOptions& bootstrap);

/// The sums of one metric and its value from them: for compare_runs.
struct MetricParts {
  ScoreParts parts;
  ScoreOfSums score;
};
MetricParts parts_of(const Metric& metric, const MetricSources& sources);

}  // namespace microemo::eval
