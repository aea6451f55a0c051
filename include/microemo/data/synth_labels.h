#pragma once
#include <array>
#include <map>
#include <string>
#include <utility>
#include <vector>

// The meaning of the synthetic benchmark: three factors that are drawn independently (words, face, voice) and the label that only
// their combination decides. See docs/synthetic-benchmark.md.

namespace microemo::data {

enum class Sentiment { positive, negative, neutral };
/// What the face does during an utterance; the units are named by what moves.
enum class FaceUnit { none, brow_up, brow_down, lip_up, lip_down, lid, nose };
/// How an utterance is spoken.
enum class Manner { flat, lively };

inline constexpr std::array all_sentiments{Sentiment::positive, Sentiment::negative, Sentiment::neutral};
inline constexpr std::array all_units{FaceUnit::none,     FaceUnit::brow_up, FaceUnit::brow_down, FaceUnit::lip_up,
                                      FaceUnit::lip_down, FaceUnit::lid,     FaceUnit::nose};
inline constexpr std::array all_manners{Manner::flat, Manner::lively};

/// The words that a manifest and an answer use: "positive", "brow_up", "flat".
const char* name_of(Sentiment sentiment);
const char* name_of(FaceUnit unit);
const char* name_of(Manner manner);

struct Factors {
  Sentiment sentiment = Sentiment::neutral;
  FaceUnit unit = FaceUnit::none;
  Manner manner = Manner::flat;
};

/// A group of labels that count as the same answer: its name and the words that may stand for it, the first of which is the name.
struct LabelGroup {
  std::string name;
  std::vector<std::string> synonyms;
};

/// Every group that some combination of factors leads to.
const std::vector<LabelGroup>& label_groups();

/// Names of the one or two groups that a combination means.
const std::vector<std::string>& groups_of(const Factors& factors);

/// How likely a unit is in an utterance: `none` has `none_probability`, the others share the rest equally. Sentiments and manners
/// are equally likely.
double probability_of(FaceUnit unit, double none_probability);

/// The best mean F per utterance that a fixed answer for each state of knowledge can reach, F = 2|P∩G| / (|P|+|G|) over groups:
/// what somebody scores who knows only these factors and the table. Answers of up to four groups are searched exhaustively.
struct Knowledge {
  bool words = false, face = false, voice = false;
};
double score_ceiling(const Knowledge& knowledge, double none_probability);

/// The ceilings that stand in synth.json: "nothing", "words", "voice", "face", "words+voice", "face+voice", "words+face", "all".
std::vector<std::pair<std::string, double>> score_ceilings(double none_probability);

}  // namespace microemo::data
