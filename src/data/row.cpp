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

/// Query tokens of one window: first the video's, then the sound's, where the branch has that window (MicroEmo::media_tokens says
/// where they lie).
void add_media(Row& row, const RowContext& context, int64_t window) {
  const model::MediaLayout& layout = context.layout;
  const int64_t video_windows = layout.video_utterances ? context.windows : 1;
  const int64_t audio_windows = layout.audio_utterances ? context.windows : 1;
  const int64_t audio_start = context.clips * video_windows * layout.video_queries;
  if (window < video_windows)
    for (int64_t q = 0; q < layout.video_queries; ++q)
      add_token(row, 0, (context.clip * video_windows + window) * layout.video_queries + q, window);
  if (window < audio_windows)
    for (int64_t q = 0; q < layout.audio_queries; ++q)
      add_token(row, 0, audio_start + (context.clip * audio_windows + window) * layout.audio_queries + q, window);
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
  Row row;
  add_token(row, context.tokenizer.begin_id(), -1, 0);
  add_text(row, context, std::string(clip_header), 0);
  add_media(row, context, 0);
  for (size_t i = 0; i < sample.clip.utterances.size(); ++i) {
    const Utterance& spoken = sample.clip.utterances[i];
    add_text(row, context, utterance_header(spoken), int64_t(i) + 1);
    add_media(row, context, int64_t(i) + 1);
    add_text(row, context, spoken.text, int64_t(i) + 1);
  }
  add_text(row, context, question_text(sample.clip.utterances[size_t(utterance)]), utterance + 1);
  if (purpose == Purpose::train)
    add_answer(row, context, sample, utterance);
  else
    row.labels.assign(row.ids.size(), nn::ignored_label);
  return row;
}

}  // namespace microemo::data
