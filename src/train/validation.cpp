#include "microemo/train/validation.h"

#include <algorithm>

#include <ATen/core/grad_mode.h>
#include <fmt/ranges.h>

#include "microemo/base/error.h"
#include "microemo/base/nearest.h"

namespace microemo::train {
namespace {

constexpr const char* accuracy = "valid_movement_accuracy";
constexpr const char* wheel_f = "valid_wheel_f";

std::string metric_of(const std::string& term) { return term == "answer" ? "valid_loss" : "valid_" + term + "_loss"; }

/// Of a metric: what is divided, and by what.
using Sums = std::map<std::string, std::pair<double, double>>;

Sums own_sums(const Task& task, const parallel::Group& group) {
  const at::NoGradGuard no_grad;
  Sums sums;
  for (const std::string& term : task.terms) sums[metric_of(term)];
  sums[accuracy];
  for (int64_t i = group.rank(); i < task.validation_batches; i += group.world()) {
    const model::BatchLoss loss = task.loss(task.validation_batch(i));
    for (const model::LossTerm& term : loss.terms) {
      auto& [sum, count] = sums[metric_of(term.name)];
      sum += term.sum.item<double>();
      count += term.count;
    }
    if (loss.movement_right.defined()) sums[accuracy].first += loss.movement_right.item<double>();
    sums[accuracy].second += loss.movement_frames;
  }
  if (task.shards) task.shards->join_passes(/*backward=*/false);
  return sums;
}

/// The mean over groupings in which something is counted.
void add_answers(const Task& task, const parallel::Group& group, ValidationResult& result) {
  if (!task.answer_scores) return;
  std::vector<double> values;
  for (const auto& [sum, count] : task.answer_scores(group.rank(), group.world())) values.insert(values.end(), {sum, count});
  if (task.shards) task.shards->join_passes(/*backward=*/false);
  values = group.sums(values);
  double sum = 0, groupings = 0;
  for (size_t i = 0; i < values.size(); i += 2)
    if (values[i + 1] > 0) sum += values[i] / values[i + 1], ++groupings;
  if (groupings > 0) result[wheel_f] = sum / groupings;
}

}  // namespace

ValidationResult validate(const Task& task, const parallel::Group& group) {
  const Sums sums = own_sums(task, group);
  std::vector<double> values;
  for (const auto& [name, one] : sums) {
    values.push_back(one.first);
    values.push_back(one.second);
  }
  // All ranks have the same names, those of task.terms, in the same order.
  values = group.sums(values);
  ValidationResult result;
  size_t i = 0;
  for (const auto& [name, one] : sums) {
    if (values[i + 1] > 0) result[name] = values[i] / values[i + 1];
    i += 2;
  }
  add_answers(task, group, result);
  return result;
}

BestMetric best_metric(const std::string& name, const std::vector<std::string>& terms, bool answers) {
  if (name == wheel_f && !answers)
    throw ConfigError("no validation gives '{}': nothing is answered", name)
        .at("train.best_metric")
        .hint("set train.valid_answers to the number of clips that are answered");
  std::vector<std::string> names = {metric_of("answer"), accuracy};
  if (answers) names.emplace_back(wheel_f);
  for (const std::string& term : terms)
    if (term != "answer") names.push_back(metric_of(term));
  if (std::find(names.begin(), names.end(), name) != names.end()) return {name, name == accuracy || name == wheel_f};
  const std::string nearest = nearest_name(name, names);
  throw ConfigError("no validation gives '{}'{}", name, nearest.empty() ? "" : fmt::format("; did you mean '{}'?", nearest))
      .at("train.best_metric")
      .hint(fmt::format("one of {}", fmt::join(names, ", ")));
}

}  // namespace microemo::train
