#include "row.h"

#include "microemo/base/error.h"
#include "microemo/nn/loss.h"
#include "prompt.h"
#include "row_media.h"

namespace microemo::data {
namespace {

void add_text(Row& row, const RowContext& context, const std::string& text, int64_t utterance) {
  for (int64_t id : context.tokenizer.encode(text)) add_token(row, id, -1, utterance);
}

void add_answer(Row& row, const RowContext& context, const Sample& sample, int64_t utterance) {
  const size_t prompt = row.ids.size();
  add_text(row, context, training_answer(sample, utterance), utterance + 1);
  add_token(row, context.tokenizer.end_id(), -1, utterance + 1);
  row.labels.assign(row.ids.size(), nn::ignored_label);
  for (size_t i = prompt; i < row.ids.size(); ++i) row.labels[i - 1] = row.ids[i];
}

}  // namespace

std::string training_answer(const Sample& sample, int64_t utterance) {
  std::string answer = answer_text(sample.clip.utterances[size_t(utterance)]);
  if (answer.empty())
    throw DataError("utterance {} of clip '{}' has neither an answer nor labels to train on", utterance, sample.clip.id)
        .hint("add labels to the manifest, or leave the clip out of the training manifest");
  return answer;
}

Row write_row(const RowContext& context, const Sample& sample, int64_t utterance, Purpose purpose) {
  const BranchTokens video = video_of(context), audio = audio_of(context);
  Row row;
  add_token(row, context.tokenizer.begin_id(), -1, 0);
  const bool told_last = is_told_last(video) || is_told_last(audio);
  if (!told_last || context.layout.fused || context.layout.features > 0) add_text(row, context, std::string(clip_header), 0);
  add_fused_token(row, context);
  add_feature_tokens(row, context);
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
