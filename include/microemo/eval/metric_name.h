#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace microemo::eval {

enum class MetricFamily {
  wheel_sets,          ///< ew2025-l1, …: precision, recall and F of sets of classes
  hit_rate,            ///< hit2025-l1, …: one true label among the predicted ones
  mscore,              ///< mscore2025-l1, …: hits over predicted classes that the data set knows
  cached_groups,       ///< mer2024-gpt
  sentiment_accuracy,  ///< sentiment-acc
  sentiment_waf,       ///< sentiment-waf
  war,                 ///< accuracy over items
  uar,                 ///< mean of the classes' recalls
  waf                  ///< mean of the classes' F1, weighted by their support
};

/// A metric of `microemo score`, as its name says.
struct Metric {
  std::string name;
  MetricFamily family = MetricFamily::wheel_sets;
  std::string release = {};                 ///< of the emotion wheels: "2025" or "2026"; empty where no wheel is used
  std::vector<std::string> groupings = {};  ///< of EmotionWheel, whose values are averaged: "W1-L1", …; empty without a wheel
};

/// Throws Error(config) that says what names there are, with the nearest one.
Metric parse_metric(std::string_view name);

/// Every name, in the order of the documentation.
std::vector<std::string> metric_names();

bool needs_wheel(const Metric& metric);
/// True for metrics of positive, negative and neutral, whose truths are valences.
bool is_of_sentiment(const Metric& metric);

}  // namespace microemo::eval
