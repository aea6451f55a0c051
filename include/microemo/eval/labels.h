#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace microemo::eval {

/// A label as wheels spell it: in lower case (of Unicode, as Python's str.lower, without its rule for a sigma at the end of a
/// word), blanks at both ends removed (those of Unicode too, as Python's str.strip does).
std::string normalise_label(std::string_view label);

/// The public benchmarks' reading of a list that is kept as text (MERTools, toolkit/utils/functions.py, string_to_list): one "["
/// at the front and one "]" at the end go, the rest is cut at ' " and commas, blanks and empty pieces go. Letters stay as they
/// are. Kept bit by bit, with its quirks: "don't know" becomes "don" and "t know", and "[happy, sad]." ends with the label
/// "sad].". A lone "[", at which the public code stops, is an empty list here.
std::vector<std::string> string_to_list(std::string_view text);

/// The labels that an answer names, in lower case, each once, in order: those of rules_extractor with the project's own lexicon
/// (see extract.h and docs/extraction.md). No model, so that the same answer always gives the same labels. Throws
/// Error(environment) when the lexicon is not beside the program.
std::vector<std::string> extract_labels(std::string_view answer);

}  // namespace microemo::eval
