#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "microemo/base/json.h"
#include "microemo/eval/interval.h"
#include "microemo/eval/predictions.h"
#include "microemo/eval/provenance.h"
#include "microemo/eval/scores.h"
#include "microemo/eval/wheel.h"

namespace microemo::eval {

/// What resamples draw: pairs of one cluster are not independent.
struct PairClusters {
  std::string kind = "clip";              ///< "clip", "dialogue" or "speaker"
  std::vector<std::string> of_pair = {};  ///< as many as there are pairs; empty: their clips
};

/// Dialogues where every pair names one, else speakers where every pair does, else clips. Both lists have a text for each pair,
/// empty where none is named.
PairClusters best_clusters(std::vector<std::string> dialogues, std::vector<std::string> speakers);

/// Under one grouping of the wheel.
struct GroupingScore {
  std::string grouping;
  SetScore score;
};

/// All scores of a set of predictions under one wheel. "Headline" is the mean over the wheel's headline groupings.
struct ScoreTable {
  std::string wheel;  ///< its name and release
  std::filesystem::path wheel_path;
  std::string wheel_hash;
  std::vector<WheelFile> wheel_files;
  std::vector<std::string> headline;

  int64_t pairs = 0;
  double pair_f = 0;         ///< headline of SetScore::pair_f: "mean wheel F over (clip, utterance) pairs"
  Interval pair_f_interval;  ///< bootstrap over the clusters
  double set_f = 0;          ///< headline of SetScore::f: with a MERTools wheel the F of MER2025/26 at ring 1
  Interval set_f_interval;
  BootstrapOptions bootstrap;
  std::string clusters;       ///< PairClusters::kind
  int64_t cluster_count = 0;  ///< of all pairs; 0 without resamples
  std::vector<GroupingScore> groupings;

  std::vector<std::string> skipped;                                 ///< ids whose truth has no class under any headline grouping
  std::map<std::string, int64_t> unknown_truth, unknown_predicted;  ///< labels that the wheel does not know, with how often
};

/// The cluster of every pair. Throws Error(internal) when there are not as many as pairs.
std::vector<std::string> clusters_of_pairs(const std::vector<LabelPair>& pairs, const PairClusters& clusters);

/// Throws Error(data) when no truth has a class: the labels are of another language than the wheel, or the wrong file was named;
/// Error(internal) when there are not as many clusters as pairs.
ScoreTable score_predictions(const std::vector<LabelPair>& pairs, const EmotionWheel& wheel,
                             const BootstrapOptions& bootstrap = {}, const PairClusters& clusters = {});

/// {"metric": {…}, "wheel": {…}, "pairs", "pair_f": {"value", "low", "high"}, "set_f": {…}, "groupings": […], "skipped",
/// "unknown_labels"}; NaN is null.
Json to_json(const ScoreTable& table);

/// One row a pair: id, truth, predicted, and for every headline grouping the classes of both and F (empty when the pair is not
/// scored); then provenance_columns.
void write_pair_scores(const std::filesystem::path& csv_file, const std::vector<LabelPair>& pairs, const EmotionWheel& wheel,
                       const Provenance& provenance);

}  // namespace microemo::eval
