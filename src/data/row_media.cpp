#include "row_media.h"

namespace microemo::data {

void add_token(Row& row, int64_t id, int64_t media, int64_t utterance) {
  row.ids.push_back(id);
  row.media.push_back(media);
  row.utterance.push_back(utterance);
}

int64_t BranchTokens::windows() const { return queries > 0 ? spans.mask_BW.size(1) : 0; }

bool BranchTokens::is_real(int64_t clip, int64_t w) const { return spans.mask_BW[clip][w].item<bool>(); }

BranchTokens video_of(const RowContext& context) {
  return {context.layout.video, context.batch.video_windows, context.layout.video_queries, 0};
}

BranchTokens audio_of(const RowContext& context) {
  const BranchTokens video = video_of(context);
  return {context.layout.audio, context.batch.audio_windows, context.layout.audio_queries,
          context.batch.clips.mask_BW.size(0) * video.windows() * video.queries};
}

void add_window(Row& row, const RowContext& context, const BranchTokens& branch, int64_t window, int64_t utterance) {
  for (int64_t q = 0; q < branch.queries; ++q)
    add_token(row, 0, branch.start + (context.clip * branch.windows() + window) * branch.queries + q, utterance);
}

namespace {

int64_t clips_of(const RowContext& context) { return context.batch.clips.mask_BW.size(0); }

/// The row of the media table behind those of both branches.
int64_t behind_branches(const RowContext& context) {
  const BranchTokens audio = audio_of(context);
  return audio.start + clips_of(context) * audio.windows() * audio.queries;
}

bool whole_stands_last(const BranchTokens& branch) {
  return branch.window.has_others() && branch.window.order == model::WindowOrder::whole_last;
}

}  // namespace

void add_clip_tokens(Row& row, const RowContext& context, const BranchTokens& branch) {
  if (branch.queries == 0) return;
  const bool whole = branch.window.has_whole(), last = whole_stands_last(branch);
  if (whole && !last) add_window(row, context, branch, 0, 0);
  if (branch.window.windows == model::Windows::utterance) return;
  for (int64_t w = whole ? 1 : 0; w < branch.windows(); ++w)
    if (branch.is_real(context.clip, w)) add_window(row, context, branch, w, 0);
  if (whole && last) add_window(row, context, branch, 0, 0);
}

bool is_told_last(const BranchTokens& branch) {
  return branch.queries > 0 && branch.window.windows == model::Windows::utterance && branch.window.whole &&
         whole_stands_last(branch);
}

void add_utterance_tokens(Row& row, const RowContext& context, const BranchTokens& branch, int64_t utterance) {
  if (branch.queries == 0 || branch.window.windows != model::Windows::utterance) return;
  add_window(row, context, branch, utterance + int64_t(branch.window.whole), utterance + 1);
}

void add_all_windows(Row& row, const RowContext& context, const BranchTokens& branch) {
  const int64_t first = whole_stands_last(branch) && branch.window.whole ? 1 : 0;
  for (int64_t i = 0; i < branch.windows(); ++i) {
    const int64_t w = (i + first) % branch.windows();
    if (branch.is_real(context.clip, w)) add_window(row, context, branch, w, 0);
  }
}

void add_fused_token(Row& row, const RowContext& context) {
  if (context.layout.fused) add_token(row, 0, behind_branches(context) + context.clip, 0);
}

void add_feature_tokens(Row& row, const RowContext& context) {
  const int64_t count = context.layout.features, fused = context.layout.fused ? clips_of(context) : 0;
  for (int64_t i = 0; i < count; ++i) add_token(row, 0, behind_branches(context) + fused + context.clip * count + i, 0);
}

}  // namespace microemo::data
