#pragma once
#include <optional>

#include "microemo/eval/predictions.h"
#include "microemo/eval/wheel.h"

namespace microemo::infer {

/// Mean of a pair's F over the wheel's headline groupings in which its truth has a class; nothing when there is none.
std::optional<double> headline_f(const eval::LabelPair& pair, const eval::EmotionWheel& wheel);

}  // namespace microemo::infer
