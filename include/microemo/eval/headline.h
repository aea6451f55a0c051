#pragma once
#include <optional>

#include "microemo/eval/predictions.h"
#include "microemo/eval/wheel.h"

namespace microemo::eval {

/// Mean of a pair's F over the wheel's headline groupings in which its truth has a class; nothing when there is none.
std::optional<double> headline_f(const LabelPair& pair, const EmotionWheel& wheel);

}  // namespace microemo::eval
