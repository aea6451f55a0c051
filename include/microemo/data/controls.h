#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "microemo/base/config.h"
#include "microemo/data/sample.h"

// Evaluations that show what a model's answers rest on.

namespace microemo::data {

enum class Control {
  none,
  question_only,        ///< the question alone: nothing is seen, heard or said
  mismatched_video,     ///< picture, sound and features are those of another clip, words and times the own ones
  shuffled_utterances,  ///< what is said in a clip changes places among its utterances
};
constexpr auto names_of(Control) {
  return std::array{std::pair{Control::none, "none"}, std::pair{Control::question_only, "question_only"},
                    std::pair{Control::mismatched_video, "mismatched_video"},
                    std::pair{Control::shuffled_utterances, "shuffled_utterances"}};
}

/// What a model can be given of a clip, in the order in which they are named.
inline const std::vector<std::string> all_modalities = {"frames", "face", "sound", "transcript"};

struct ControlOptions {
  std::vector<std::string> modalities = all_modalities;
  Control control = Control::none;
  int64_t control_seed = 0;
};
template <class Visitor>
void describe(Visitor& option, ControlOptions& o) {
  option("modalities", o.modalities,
         "What the model is given of a clip: frames, face, sound, transcript. A clip without picture or sound is answered as the "
         "model answers such clips; without frames, but with the face, the whole frames are grey and keep their times.");
  option("control", o.control,
         "question_only: no modality at all; mismatched_video: picture, sound and features of another clip; shuffled_utterances: "
         "the "
         "words of a clip change places among its utterances.");
  option("control_seed", o.control_seed, "Seed of what the controls draw.").min(0);
}

/// "frames+sound", "question_only", "mismatched_video", "frames+face, shuffled_utterances"; empty when nothing is taken away.
std::string control_name(const ControlOptions& options);

/// Throws Error(config) for no modality, an unknown one (with the nearest name), one that stands twice, and modalities beside
/// question_only.
void check_controls(const ControlOptions& options);

/// Takes away, exchanges and shuffles. Labels, questions and times stay. A pure function of its arguments; the tensors of the
/// samples are shared, not changed. Returns the clips that are as they were, because there is nothing to exchange or shuffle in
/// them. Throws as check_controls does, and Error(data) for mismatched_video with a single clip.
std::vector<std::string> apply_controls(std::vector<Sample>& samples, const ControlOptions& options);

/// All sets of modalities but the empty one, the full one first, then by their number and order.
std::vector<std::vector<std::string>> modality_sets();

}  // namespace microemo::data
