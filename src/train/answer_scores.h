#pragma once
#include <utility>
#include <vector>

#include "microemo/data/sample.h"
#include "microemo/eval/wheel.h"
#include "microemo/model/microemo.h"

namespace microemo::train {

/// Answers every world-th of the samples from rank on, greedily, and reads labels from the answers as microemo eval does: sum and
/// count of F over the pairs, for each headline grouping of the wheel.
std::vector<std::pair<double, double>> answer_scores(const model::MicroEmo& model, const data::BatchBuilder& builder,
                                                     const std::vector<data::Sample>& samples, const eval::EmotionWheel& wheel,
                                                     int64_t most_tokens, int64_t rank, int64_t world);

}  // namespace microemo::train
