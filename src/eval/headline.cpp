#include "microemo/eval/headline.h"

#include "microemo/eval/scores.h"

namespace microemo::eval {

std::optional<double> headline_f(const LabelPair& pair, const EmotionWheel& wheel) {
  double sum = 0;
  int64_t scored = 0;
  for (const std::string& name : wheel.headline)
    if (const auto score = score_pair(pair, wheel.grouping(name))) sum += score->f, ++scored;
  if (scored == 0) return std::nullopt;
  return sum / double(scored);
}

}  // namespace microemo::eval
