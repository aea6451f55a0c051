#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "microemo/base/config.h"
#include "microemo/data/sample.h"
#include "microemo/infer/sampling.h"
#include "microemo/model/microemo.h"

namespace microemo::infer {

struct GenerateOptions {
  int64_t max_new_tokens = 64, batch_clips = 16, batch_rows = 16;
  SamplingOptions sampling = {};
  std::vector<std::string> stop = {};
};
template <class Visitor>
void describe(Visitor& option, GenerateOptions& o) {
  option("max_new_tokens", o.max_new_tokens, "An answer without an end stops after so many tokens, and says so.")
      .min(1)
      .max(1 << 20);
  option("batch_clips", o.batch_clips,
         "Clips whose questions are held in memory and answered together; answers do not depend on it.")
      .min(1)
      .max(1 << 16);
  option("batch_rows", o.batch_rows, "Answers that are written at the same time; answers do not depend on it.")
      .min(1)
      .max(1 << 16);
  describe(option, o.sampling);
  option("stop", o.stop, "Texts that end an answer, wherever they begin and end in its tokens; they are no part of it.");
}

struct Answer {
  std::vector<int64_t> ids;    ///< of the answer, without </s>
  std::string text;            ///< up to the text that ends it (BatchBuilder::end_text or one of `stop`), where there is one
  double log_probability = 0;  ///< of the whole answer by the model's own logits, unprocessed, natural logarithm; with </s> when
                               ///< that ends it
  bool complete = false;       ///< ended by </s> or an end text; false: stopped by max_new_tokens or the decoder's max_tokens
};

/// Gets the pieces of each answer's text as they are written: whole characters, nothing of an end text; put together they are
/// Answer::text. Questions of one batch take turns.
using OnText = std::function<void(size_t question, const std::string& text)>;

/// One answer per question, in their order. `questions[i].sample` counts in `samples`.
///
/// On the CPU with a fixed number of threads an answer depends on its clip, with all questions that the clip has, and on its
/// question alone, bit for bit, whatever else is asked in whatever order: clips and prompts are read one by one, without padding,
/// rows of any lengths are decoded together with attention row by row, and every other product of a step has the same number of
/// rows. What the prompts of all of a clip's questions have in common at their beginning is read once. Draws are named by the
/// seed, the clip's id, the utterance and the token's place. Throws Error(config) for options that are out of their limits or an
/// empty stop text, Error(data) as data::BatchBuilder::build does: a prompt that is longer than the decoder's max_tokens is
/// refused, never cut. Thread rule: one thread at a time per model.
std::vector<Answer> generate_answers(const model::MicroEmo& model, const data::BatchBuilder& builder,
                                     const std::vector<const data::Sample*>& samples,
                                     const std::vector<data::Question>& questions, const GenerateOptions& options,
                                     const OnText& on_text = {});

}  // namespace microemo::infer
