#pragma once
#include <string>

#include "microemo/base/config.h"
#include "microemo/model/options.h"

namespace microemo::data {

struct PromptOptions {
  std::string text = {};
  std::string begin_piece = {};
  bool learn_end = true, begin_when_asked = true;
  std::string time_tokenizer = {};
  bool time_special = false;
};
template <class Visitor>
void describe(Visitor& option, PromptOptions& o) {
  const bool own = !o.text.empty();
  const std::string when = "prompt.text is set";
  option("text", o.text,
         "A row as a template, up to and behind {answer}; empty: our own rows, which tell every utterance with its times. "
         "{begin} and "
         "{end} are the decoder's special tokens, {token:X} the piece X; {video}, {audio}, {fused}, {features} the tokens of the "
         "branches; {frames} "
         "the number of frames, {times} their seconds; {words} all that is said; {question}; {answer}. {split} parts the text "
         "before it "
         "from that behind it in the tokenizer; {{ is a brace.");
  option("begin_piece", o.begin_piece,
         "The piece that {begin} stands for; empty: the tokenizer's begin token. Qwen2 has none, and AffectGPT 2025 takes "
         "<|im_start|>.")
      .only_if(own, when);
  option("learn_end", o.learn_end, "{end} behind the answer is learned; false leaves it out, as AffectGPT 2025 does.")
      .only_if(own, when);
  option("begin_when_asked", o.begin_when_asked,
         "{begin} stands in rows that are to be answered, too; false leaves it out there, as AffectGPT 2025 does.")
      .only_if(own, when);
  option(
      "time_tokenizer", o.time_tokenizer,
      "Tokenizer of the frames' times, which the image Q-Former reads: that of BERT (vocab.txt) for InstructBLIP's; empty: the "
      "decoder's, as TimeChat trains.");
  option("time_special", o.time_special, "Its begin and end tokens go around the times, as in TimeChat.");
}

/// Throws Error(config) at prompt.text for a template that cannot be read, that has no or several {answer}, or that leaves out
/// the tokens of a branch of the model or names one that it lacks.
void check_prompt(const PromptOptions& options, const model::ModelOptions& model);

}  // namespace microemo::data
