#pragma once
#include <string>

namespace microemo::cli {

/// What `score --timeline` and `score --explanations` were told.
struct ScoreTextsWords {
  std::string predictions, truths, wheel, judge;
  bool json = false;
};

/// Over time instead of over utterances, under one wheel.
void score_timeline_files(const ScoreTextsWords& words);

/// Texts against texts: clues by channel, agreement with the labels beside them, a judge's kept answers.
void score_explanation_files(const ScoreTextsWords& words);

}  // namespace microemo::cli
