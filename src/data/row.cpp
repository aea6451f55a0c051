#include "row.h"

#include "microemo/base/error.h"
#include "microemo/nn/loss.h"
#include "prompt.h"

namespace microemo::data {
namespace {

void add_token(Row& row, int64_t id, int64_t media, int64_t utterance) {
  row.ids.push_back(id);
  row.media.push_back(media);
  row.utterance.push_back(utterance);
}

void add_text(Row& row, const RowContext& context, const std::string& text, int64_t utterance) {
  for (int64_t id : context.tokenizer.encode(text)) add_token(row, id, -1, utterance);
}

/// The tokens of one branch of one clip in the media table.
struct BranchTokens {
  const model::WindowOptions& window;
  const model::WindowSpans& spans;
  int64_t queries = 0, start = 0;  ///< row of the table where the branch begins

  int64_t windows() const { return queries > 0 ? spans.mask_BW.size(1) : 0; }
  bool is_real(int64_t clip, int64_t w) const { return spans.mask_BW[clip][w].item<bool>(); }
};

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

bool whole_stands_last(const BranchTokens& branch) {
  return branch.window.has_others() && branch.window.order == model::WindowOrder::whole_last;
}

/// What belongs to no utterance: the whole clip, and windows that are not those of utterances.
void add_clip_tokens(Row& row, const RowContext& context, const BranchTokens& branch) {
  if (branch.queries == 0) return;
  const bool whole = branch.window.has_whole(), last = whole_stands_last(branch);
  if (whole && !last) add_window(row, context, branch, 0, 0);
  if (branch.window.windows == model::Windows::utterance) return;
  for (int64_t w = whole ? 1 : 0; w < branch.windows(); ++w)
    if (branch.is_real(context.clip, w)) add_window(row, context, branch, w, 0);
  if (whole && last) add_window(row, context, branch, 0, 0);
}

/// The whole clip is told behind the utterances.
bool is_told_last(const BranchTokens& branch) {
  return branch.queries > 0 && branch.window.windows == model::Windows::utterance && branch.window.whole &&
         whole_stands_last(branch);
}

void add_utterance_tokens(Row& row, const RowContext& context, const BranchTokens& branch, int64_t utterance) {
  if (branch.queries == 0 || branch.window.windows != model::Windows::utterance) return;
  add_window(row, context, branch, utterance + int64_t(branch.window.whole), utterance + 1);
}

void add_fused_token(Row& row, const RowContext& context) {
  if (!context.layout.fused) return;
  const BranchTokens audio = audio_of(context);
  const int64_t start = audio.start + context.batch.clips.mask_BW.size(0) * audio.windows() * audio.queries;
  add_token(row, 0, start + context.clip, 0);
}

void add_answer(Row& row, const RowContext& context, const Sample& sample, int64_t utterance) {
  const std::string answer = answer_text(sample.clip.utterances[size_t(utterance)]);
  if (answer.empty())
    throw DataError("utterance {} of clip '{}' has neither an answer nor labels to train on", utterance, sample.clip.id)
        .hint("add labels to the manifest, or leave the clip out of the training manifest");
  const size_t prompt = row.ids.size();
  add_text(row, context, answer, utterance + 1);
  add_token(row, context.tokenizer.end_id(), -1, utterance + 1);
  row.labels.assign(row.ids.size(), nn::ignored_label);
  for (size_t i = prompt; i < row.ids.size(); ++i) row.labels[i - 1] = row.ids[i];
}

}  // namespace

Row write_row(const RowContext& context, const Sample& sample, int64_t utterance, Purpose purpose) {
  const BranchTokens video = video_of(context), audio = audio_of(context);
  Row row;
  add_token(row, context.tokenizer.begin_id(), -1, 0);
  const bool told_last = is_told_last(video) || is_told_last(audio);
  if (!told_last || context.layout.fused) add_text(row, context, std::string(clip_header), 0);
  add_fused_token(row, context);
  add_clip_tokens(row, context, video);
  add_clip_tokens(row, context, audio);
  for (size_t i = 0; i < sample.clip.utterances.size(); ++i) {
    const Utterance& spoken = sample.clip.utterances[i];
    add_text(row, context, utterance_header(spoken), int64_t(i) + 1);
    add_utterance_tokens(row, context, video, int64_t(i));
    add_utterance_tokens(row, context, audio, int64_t(i));
    add_text(row, context, spoken.text, int64_t(i) + 1);
  }
  if (told_last) add_text(row, context, std::string(clip_header), 0);
  for (const BranchTokens& branch : {video, audio})
    if (is_told_last(branch)) add_window(row, context, branch, 0, 0);
  add_text(row, context, question_text(sample.clip.utterances[size_t(utterance)]), utterance + 1);
  if (purpose == Purpose::train)
    add_answer(row, context, sample, utterance);
  else
    row.labels.assign(row.ids.size(), nn::ignored_label);
  return row;
}

}  // namespace microemo::data
