#include "microemo/eval/metric_name.h"

#include <algorithm>

#include "microemo/base/error.h"
#include "microemo/base/nearest.h"

namespace microemo::eval {
namespace {

constexpr int wheel_count = 5;

std::vector<std::string> ring(int level) {
  std::vector<std::string> groupings;
  for (int wheel = 1; wheel <= wheel_count; ++wheel) groupings.push_back(fmt::format("W{}-L{}", wheel, level));
  return groupings;
}

/// OV-MER's M-avg: M1, M2 and both rings of every wheel.
std::vector<std::string> all_groupings() {
  std::vector<std::string> groupings = {"M1", "M2"};
  for (int wheel = 1; wheel <= wheel_count; ++wheel)
    for (int level = 1; level <= 2; ++level) groupings.push_back(fmt::format("W{}-L{}", wheel, level));
  return groupings;
}

void add_rings(std::vector<Metric>& metrics, const std::string& prefix, MetricFamily family, const std::string& release) {
  for (int level = 1; level <= 2; ++level)
    metrics.push_back({fmt::format("{}{}-l{}", prefix, release, level), family, release, ring(level)});
  for (int wheel = 1; wheel <= wheel_count; ++wheel)
    for (int level = 1; level <= 2; ++level)
      metrics.push_back(
          {fmt::format("{}{}-w{}-l{}", prefix, release, wheel, level), family, release, {fmt::format("W{}-L{}", wheel, level)}});
}

std::vector<Metric> make_metrics() {
  std::vector<Metric> metrics;
  for (const std::string release : {"2025", "2026"}) {
    add_rings(metrics, "ew", MetricFamily::wheel_sets, release);
    metrics.push_back({"ew" + release + "-m1", MetricFamily::wheel_sets, release, {"M1"}});
    metrics.push_back({"ew" + release + "-m2", MetricFamily::wheel_sets, release, {"M2"}});
    metrics.push_back({"ew" + release + "-m-avg", MetricFamily::wheel_sets, release, all_groupings()});
    add_rings(metrics, "hit", MetricFamily::hit_rate, release);
    add_rings(metrics, "mscore", MetricFamily::mscore, release);
  }
  metrics.push_back({"mer2024-gpt", MetricFamily::cached_groups});
  metrics.push_back({"sentiment-acc", MetricFamily::sentiment_accuracy});
  metrics.push_back({"sentiment-waf", MetricFamily::sentiment_waf});
  metrics.push_back({"war", MetricFamily::war});
  metrics.push_back({"uar", MetricFamily::uar});
  metrics.push_back({"waf", MetricFamily::waf});
  return metrics;
}

const std::vector<Metric>& metrics() {
  static const std::vector<Metric> all = make_metrics();
  return all;
}

}  // namespace

Metric parse_metric(std::string_view name) {
  const auto found = std::ranges::find(metrics(), name, &Metric::name);
  if (found != metrics().end()) return *found;
  const std::string near = nearest_name(name, metric_names());
  Error mistake = ConfigError("there is no metric '{}'", name).at("--metric");
  throw mistake.hint(
      (near.empty() ? "" : "did you mean " + near + "? ") +
      "there are ew, hit and mscore with 2025 or 2026 and -l1, -l2 or -w1-l1 to -w5-l2 (ew also -m1, -m2, -m-avg), "
      "mer2024-gpt, sentiment-acc, sentiment-waf, war, uar and waf");
}

std::vector<std::string> metric_names() {
  std::vector<std::string> names;
  for (const Metric& metric : metrics()) names.push_back(metric.name);
  return names;
}

bool needs_wheel(const Metric& metric) { return !metric.groupings.empty(); }

bool is_of_sentiment(const Metric& metric) {
  return metric.family == MetricFamily::sentiment_accuracy || metric.family == MetricFamily::sentiment_waf;
}

}  // namespace microemo::eval
