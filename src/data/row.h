#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "microemo/data/sample.h"

namespace microemo::data {

/// One row of a batch before padding: what stands at each place, and what should follow it.
struct Row {
  std::vector<int64_t> ids, media, utterance, labels;
};

/// Where the media tokens of one clip lie in the media table, and how a row is written.
struct RowContext {
  const text::Tokenizer& tokenizer;
  model::MediaLayout layout;
  int64_t clips = 0, windows = 0;  ///< B and W of the batch
  int64_t clip = 0;                ///< b
};

/// The clip's tokens, then each utterance's header, tokens and words, then the question about `utterance`; with the answer and
/// labels for Purpose::train.
Row write_row(const RowContext& context, const Sample& sample, int64_t utterance, Purpose purpose);

}  // namespace microemo::data
