#pragma once
#include <array>
#include <cstdint>
#include <filesystem>
#include <utility>
#include <vector>

#include "microemo/text/transcript.h"

namespace microemo::text {

/// What becomes of a cue that starts before the one above it ends.
enum class Overlap {
  refuse,  ///< an error
  cut,     ///< the earlier one ends where the later starts; where nothing of it would be left, the two are merged
  merge,   ///< one utterance of both
};
constexpr auto names_of(Overlap) {
  return std::array{std::pair{Overlap::refuse, "refuse"}, std::pair{Overlap::cut, "cut"}, std::pair{Overlap::merge, "merge"}};
}

/// How the cues of a transcript become utterances, in this order. No word is lost by any of these.
struct UtteranceRules {
  Overlap overlap = Overlap::refuse;
  double merge_gap_s = 0;  ///< neighbours of one speaker with a gap below this become one; 0: none do
  double longest_s = 0;    ///< merging makes none that is longer, and those that are longer are split; 0: no limit
  double shortest_s = 0;   ///< shorter ones join the nearer neighbour, the shorter of two as near; 0: none do
  int64_t most = 0;        ///< while there are more, the two neighbours with the shortest gap, then the shortest sum, become one;
                           ///< 0: any number
  double pad_s = 0;        ///< every one begins so much earlier and ends so much later, at most to the middle of a gap, from 0 on
};

/// Cues in order of their start to utterances in order that do not overlap. The text of merged cues is joined by a blank, and the
/// speaker is named where they agree. A cue above longest_s becomes the fewest parts that fit: where all its words have times,
/// each part ends behind the word whose end is nearest to an equal share; else the words, and ideographs one by one, share the
/// time by their bytes. A part without a word is no utterance. Throws Error(data) with the file and the cue's line for cues that
/// overlap where that is refused; Error(config) for rules that are negative or not finite.
std::vector<Cue> utterances_of(std::vector<Cue> cues, const UtteranceRules& rules, const std::filesystem::path& name_in_errors);

}  // namespace microemo::text
