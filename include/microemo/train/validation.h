#pragma once
#include <map>
#include <string>
#include <vector>

#include "microemo/train/step.h"

namespace microemo::train {

/// What a validation gives, by name.
using ValidationResult = std::map<std::string, double>;

/// Means over all validation batches, without gradients: "valid_loss" of the answers' label tokens, "valid_TERM_loss" of what
/// each other term of the loss counts, "valid_movement_accuracy" of frames with a movement, and "valid_wheel_f" of answers
/// (Task::answer_scores), the mean over groupings. What counts nothing is left out.
/// Ranks share the batches.
ValidationResult validate(const Task& task, const parallel::Group& group = {});

/// By which of these a validation is better than another.
struct BestMetric {
  std::string name;
  bool highest = false;  ///< the best value is the highest; else the lowest

  bool better(double value, double best) const { return highest ? value > best : value < best; }
};

/// The metric of that name. Throws Error(config) with the nearest name when a model with these loss terms has none of it, or when
/// it is one of answers and validations answer nothing.
BestMetric best_metric(const std::string& name, const std::vector<std::string>& terms, bool answers = false);

}  // namespace microemo::train
