#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "microemo/base/json.h"
#include "microemo/data/sample.h"
#include "microemo/eval/score_table.h"
#include "microemo/eval/wheel.h"
#include "microemo/infer/answer_log.h"
#include "microemo/infer/generate.h"
#include "microemo/model/microemo.h"

namespace microemo::infer {

/// Asks about every utterance of every clip and adds the answers to the log, in the order of the manifest; those that are in it
/// are not asked again. Returns false when stop_requested() ended it early: the same call goes on. Throws Error(data) for an
/// answer in the log that is about none of these utterances, and as generate_answers does.
bool answer_dataset(const model::MicroEmo& model, const data::BatchBuilder& builder, const std::vector<data::Sample>& samples,
                    const GenerateOptions& options, AnswerLog& log);

/// The labels that the answers name (eval::extract_labels) beside the manifest's, one pair an utterance. A clip whose own labels
/// are known and none of its utterances' is one pair, with the labels of all its answers. Utterances without known labels give no
/// pair. Throws Error(data) naming the utterance when its answer is missing.
std::vector<eval::LabelPair> label_pairs(const std::vector<data::Clip>& clips, const std::vector<AnswerRecord>& answers);

/// Of the utterances of one class.
struct ClassScore {
  int64_t pairs = 0;
  double pair_f = 0;  ///< mean of the pairs' F under the wheel; NaN when none is scored
  std::optional<double>
      accuracy;  ///< share of answers that name this channel as the true answer does; nothing when the true answers name no clues
};
/// By channel ("words", "voice", "face", "identity") and class; without the channels that the manifest knows nothing of.
/// Clues are the parts of an answer before its colon, in the order words, voice, face: "The words are positive, the voice is
/// flat, the brows rise: …".
using Breakdown = std::map<std::string, std::map<std::string, ClassScore>>;
Breakdown break_down(const std::vector<data::Clip>& clips, const std::vector<AnswerRecord>& answers,
                     const eval::EmotionWheel& wheel);
Json to_json(const Breakdown& breakdown);

/// The labels that, given to every utterance of these clips, have the best mean F under the wheel: what can be had without
/// looking. Found greedily, one label after the other while it helps; the first in the alphabet among equals. Throws Error(data)
/// when no utterance has a label that the wheel knows.
std::vector<std::string> best_fixed_labels(const std::vector<data::Clip>& clips, const eval::EmotionWheel& wheel);
/// The same truths with these labels predicted for each.
std::vector<eval::LabelPair> with_fixed_labels(std::vector<eval::LabelPair> pairs, const std::vector<std::string>& labels);

}  // namespace microemo::infer
