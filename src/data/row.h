#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "microemo/data/sample.h"
#include "microemo/model/clip_batch.h"

namespace microemo::data {

/// One row of a batch before padding: what stands at each place, and what should follow it.
struct Row {
  std::vector<int64_t> ids, media, utterance, labels;
};

/// The answer that is learned. Throws Error(data) naming the utterance that has neither an answer nor labels.
std::string training_answer(const Sample& sample, int64_t utterance);

/// How a row is written, and where the media tokens of its clip lie in the media table (MicroEmo::media_tokens).
struct RowContext {
  const text::Tokenizer& tokenizer;
  const model::ClipBatch& batch;  ///< its windows
  const model::MediaLayout& layout;
  int64_t clip = 0;  ///< b
};

/// The clip's tokens, those of windows that belong to no utterance behind them, then each utterance's header, tokens and words
/// (the clip's last where the order says so), then the question about `utterance`; with the answer and labels for Purpose::train.
Row write_row(const RowContext& context, const Sample& sample, int64_t utterance, Purpose purpose);

}  // namespace microemo::data
