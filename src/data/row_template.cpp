#include "row_template.h"

#include <optional>

#include <fmt/format.h>

#include "microemo/nn/loss.h"
#include "row_media.h"

namespace microemo::data {
namespace {

std::string times_of(const Sample& sample) {
  std::string list;
  const at::Tensor& times = sample.prepared.frame_times_T;
  const double* seconds = times.const_data_ptr<double>();
  for (int64_t i = 0; i < times.size(0); ++i) list += fmt::format("{}{:.1f}", i > 0 ? ", " : "", seconds[i]);
  return list;
}

std::string words_of(const Sample& sample) {
  std::string words;
  for (const Utterance& utterance : sample.clip.utterances) words += (words.empty() ? "" : " ") + utterance.text;
  return words;
}

std::string without_blanks_behind(const std::string& text) { return text.substr(0, text.find_last_not_of(' ') + 1); }

/// Builds a row from left to right; text waits until it is known where it ends.
class TemplateRow {
 public:
  TemplateRow(const RowContext& context, const Sample& sample, int64_t utterance)
      : context_(context), sample_(sample), utterance_(utterance) {}

  void add_text(const std::string& text) { waiting_ += text; }
  void add_special(int64_t id) { flush(), add_token(row_, id, -1, 0); }
  void add_branch(const BranchTokens& branch) { flush(), add_all_windows(row_, context_, branch); }
  void add_fused() { flush(), add_fused_token(row_, context_); }
  void add_features() { flush(), add_feature_tokens(row_, context_); }
  void flush() {
    for (const int64_t id : context_.tokenizer.encode(std::exchange(waiting_, ""))) add_token(row_, id, -1, 0);
  }
  void end_prompt() {
    waiting_ = without_blanks_behind(waiting_);
    flush();
  }
  void add_answer() {
    learned_from_ = row_.ids.size() + context_.tokenizer.encode(without_blanks_behind(waiting_)).size();
    waiting_ += training_answer(sample_, utterance_);
  }
  void leave_last_unlearned() { unlearned_end_ = row_.ids.size(); }

  Row finish() {
    flush();
    row_.labels.assign(row_.ids.size(), nn::ignored_label);
    const size_t first = learned_from_.value_or(row_.ids.size());
    for (size_t i = std::max<size_t>(first, 1); i < row_.ids.size(); ++i)
      if (i != unlearned_end_) row_.labels[i - 1] = row_.ids[i];
    return std::move(row_);
  }

 private:
  const RowContext& context_;
  const Sample& sample_;
  int64_t utterance_;
  Row row_;
  std::string waiting_;
  std::optional<size_t> learned_from_, unlearned_end_;
};

/// Literal text, and what stands for text.
std::string text_of(const PromptAtom& atom, const Sample& sample, int64_t utterance) {
  switch (atom.part) {
    case PromptPart::frames:
      return std::to_string(sample.prepared.frame_times_T.size(0));
    case PromptPart::times:
      return times_of(sample);
    case PromptPart::words:
      return words_of(sample);
    case PromptPart::question:
      return question_text(sample.clip.utterances[size_t(utterance)]);
    default:
      return atom.text;
  }
}

}  // namespace

Row write_template_row(const RowContext& context, const std::vector<PromptAtom>& prompt, const PromptOptions& options,
                       const Sample& sample, int64_t utterance, Purpose purpose) {
  TemplateRow row(context, sample, utterance);
  bool answered = false;
  for (const PromptAtom& atom : prompt) {
    switch (atom.part) {
      case PromptPart::begin:
        if (purpose == Purpose::train || options.begin_when_asked)
          row.add_special(options.begin_piece.empty() ? context.tokenizer.begin_id()
                                                      : context.tokenizer.id_of(options.begin_piece));
        break;
      case PromptPart::end:
        row.flush();
        if (answered && !options.learn_end) row.leave_last_unlearned();
        row.add_special(context.tokenizer.end_id());
        break;
      case PromptPart::token:
        row.add_special(context.tokenizer.id_of(atom.text));
        break;
      case PromptPart::video:
        row.add_branch(video_of(context));
        break;
      case PromptPart::audio:
        row.add_branch(audio_of(context));
        break;
      case PromptPart::fused:
        row.add_fused();
        break;
      case PromptPart::features:
        row.add_features();
        break;
      case PromptPart::split:
        row.flush();
        break;
      case PromptPart::answer:
        if (purpose == Purpose::generate) {
          row.end_prompt();
          return row.finish();
        }
        row.add_answer();
        answered = true;
        break;
      default:
        row.add_text(text_of(atom, sample, utterance));
    }
  }
  return row.finish();
}

}  // namespace microemo::data
