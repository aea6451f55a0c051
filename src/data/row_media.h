#pragma once
#include "row.h"

namespace microemo::data {

void add_token(Row& row, int64_t id, int64_t media, int64_t utterance);

/// The tokens of one branch of one clip in the media table.
struct BranchTokens {
  const model::WindowOptions& window;
  const model::WindowSpans& spans;
  int64_t queries = 0;  ///< 0 when the branch is off
  int64_t start = 0;    ///< row of the table where the branch begins

  int64_t windows() const;
  bool is_real(int64_t clip, int64_t window) const;
};
BranchTokens video_of(const RowContext& context);
BranchTokens audio_of(const RowContext& context);

/// The whole clip is told behind the utterances.
bool is_told_last(const BranchTokens& branch);
void add_window(Row& row, const RowContext& context, const BranchTokens& branch, int64_t window, int64_t utterance);
/// What belongs to no utterance: the whole clip, and windows that are not those of utterances.
void add_clip_tokens(Row& row, const RowContext& context, const BranchTokens& branch);
void add_utterance_tokens(Row& row, const RowContext& context, const BranchTokens& branch, int64_t utterance);
/// All windows of the clip, in their order.
void add_all_windows(Row& row, const RowContext& context, const BranchTokens& branch);
/// Nothing where the model has none.
void add_fused_token(Row& row, const RowContext& context);
void add_feature_tokens(Row& row, const RowContext& context);

}  // namespace microemo::data
