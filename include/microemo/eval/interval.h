#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace microemo::eval {

struct Interval {
  double low = 0, high = 0;
};

struct BootstrapOptions {
  int64_t resamples = 1000;
  double confidence = 0.95;
  uint64_t seed = 0;
};

/// Percentile bootstrap (Efron & Tibshirani 1993, chapter 13): whole clusters are drawn with replacement, as many as there are,
/// and `statistic` is asked for the value of what was drawn, given as positions in `clusters`. The interval's ends are
/// percentiles of these values, interpolated linearly. A pure function of its arguments. `clusters` names the cluster of every
/// item: items of one clip are not independent. Values that are not finite are left out; when none is finite both ends are NaN.
/// Throws Error(internal) without items, without resamples, or with a confidence outside (0, 1).
Interval bootstrap_interval(const std::vector<std::string>& clusters,
                            const std::function<double(const std::vector<size_t>& drawn)>& statistic,
                            const BootstrapOptions& options = {});

/// What to say of intervals over so few clusters of a kind ("clip", "speaker") that they are too narrow; empty from 20 on, as few
/// means fewer than 20 to 50 (Cameron & Miller 2015, section VI).
std::string few_clusters_text(int64_t clusters, const std::string& kind);

}  // namespace microemo::eval
