#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "microemo/base/config.h"
#include "microemo/data/sample.h"
#include "microemo/model/microemo.h"

namespace microemo::infer {

struct GenerateOptions {
  int64_t max_new_tokens = 64, batch_clips = 16;
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
}

struct Answer {
  std::vector<int64_t> ids;    ///< of the answer, without </s>
  std::string text;            ///< up to the text that closes it (BatchBuilder::end_text), where there is one
  double log_probability = 0;  ///< of the whole answer, natural logarithm, with </s> when it is complete
  bool complete = false;  ///< ended by </s> or the closing text; false: stopped by max_new_tokens or the decoder's max_tokens
};

/// Greedy answers, one per question, in their order. `questions[i].sample` counts in `samples`.
///
/// On the CPU with a fixed number of threads an answer depends on its clip and question alone, bit for bit, because every product
/// has the same shape whatever else is asked: media tokens and prompts are computed clip by clip and row by row, without padding,
/// and rows with prompts of one length are decoded together in batches of exactly 8 rows, filled up with copies. Throws
/// Error(data) as data::BatchBuilder::build does. Thread rule: one thread at a time per model.
std::vector<Answer> generate_answers(const model::MicroEmo& model, const data::BatchBuilder& builder,
                                     const std::vector<const data::Sample*>& samples,
                                     const std::vector<data::Question>& questions, const GenerateOptions& options);

}  // namespace microemo::infer
