#pragma once
#include <array>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "microemo/eval/label_table.h"
#include "microemo/eval/wheel.h"

namespace microemo::eval {

// Scores of explanations: texts that say from which clues a feeling can be told.

/// Name and version of the table of clues: another table, another number.
inline constexpr std::string_view clue_words_name = "clues-1";

/// Where a clue is found.
enum class Channel { visual, acoustic, lexical };
constexpr std::array<Channel, 3> all_channels{Channel::visual, Channel::acoustic, Channel::lexical};
const char* name_of(Channel channel);

/// The clues that a text names, of one channel: the entries of a fixed table of words (src/eval/clue_words.cpp: what a face, gaze
/// or body does; how a voice sounds; what is said), English and Chinese. Words count whole and in any case, "smiling" as "smile".
/// Words in quotation marks are the lexical clue "quotation". A table cannot see negation or meaning: it tells which clues a text
/// speaks of, not whether it is right.
std::set<std::string> clues_in(std::string_view text, Channel channel);

/// How much of a reference's clues an answer names, without a judge. Only items whose reference names a clue of the channel
/// count.
struct ClueCoverage {
  int64_t n = 0;
  double coverage = 0;   ///< mean of |reference ∩ answer| / |reference|; NaN without items
  double precision = 0;  ///< mean of |reference ∩ answer| / |answer|, 0 where the answer names none; NaN without items
};
struct ExplanationPair {
  std::string id, reference, answer;
};
ClueCoverage cover_clues(const std::vector<ExplanationPair>& pairs, Channel channel);

/// Whether a model's words and its labels say the same: the mean over items of F between the classes of the labels read from the
/// text (extract_labels) and those of the labels beside it. Items whose labels have no class do not count; NaN without items.
struct AgreementItem {
  std::string text;
  std::vector<std::string> labels;
};
struct Agreement {
  int64_t n = 0;
  double f = 0;
};
Agreement agree_with_labels(const std::vector<AgreementItem>& items, const Grouping& grouping);

/// A text that explains, and the labels that stand beside it.
struct ExplainedItem {
  std::string id, text;
  std::vector<std::string> labels;
  bool has_labels = false;
};

struct ExplanationFile : LabelSource {  ///< extractors: of the labels beside the texts
  std::vector<ExplainedItem> items;
};

/// Texts by the name's end: .jsonl with "id" or "name" (or "clip" and "utterance"), the first of "answer", "reason", "reasons",
/// "explanation", "english" and "chinese", and "labels" (a list) where there are some; .csv with such columns; .npz with one
/// dictionary name2reason, which is read as data. Throws Error(data) with file and line for a missing or empty id, an id that
/// stands twice, an item without a text key, and a file without items. "extractor" and "split" as in read_label_table.
ExplanationFile read_explanations(const std::filesystem::path& path);

/// In the order of the references. Throws Error(data) that lists the ids which only one side has.
std::vector<ExplanationPair> match_explanations(const std::vector<ExplainedItem>& references,
                                                const std::vector<ExplainedItem>& answers);

/// A judge's score, 1 to 10, out of its answer as EMER's first version reads it (AffectGPT 2024, evaluation.py): the first number
/// of the text, "8" of "8/10". Throws Error(data) when there is none, it is not written as a number is, or it is outside 1 to 10.
double judged_score(std::string_view answer);

/// Scores by id from answers of a judge that were kept: JSONL with "id" and "answer". Throws Error(data) with file and line, also
/// for an id that stands twice.
std::map<std::string, double> read_judged_scores(const std::filesystem::path& path);

}  // namespace microemo::eval
