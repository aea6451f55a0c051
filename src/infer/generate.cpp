#include "microemo/infer/generate.h"

#include <algorithm>

#include <ATen/core/grad_mode.h>

#include "continuation.h"
#include "microemo/base/error.h"
#include "microemo/infer/answer_text.h"

// Shapes: R rows, L tokens, C decoder width.

namespace microemo::infer {
namespace {

/// The tokens before the first that is not the same in all rows; every row keeps one behind them. 0 for a single row.
int64_t common_beginning(const model::ClipBatch& batch) {
  const int64_t rows = batch.ids_RL.size(0);
  if (rows == 1) return 0;
  int64_t common = batch.lengths_R.min().item<int64_t>() - 1;
  for (const at::Tensor& part_RL : {batch.ids_RL, batch.media_RL, batch.utterance_RL}) {
    const at::Tensor differs_L = part_RL.ne(part_RL.select(0, 0)).any(0);
    const at::Tensor places = differs_L.nonzero();
    if (places.size(0) > 0) common = std::min(common, places[0].item<int64_t>());
  }
  return common;
}

std::vector<int64_t> text_ids(const model::ClipBatch& batch, int64_t row, int64_t length) {
  const at::Tensor ids_L = batch.ids_RL[row].slice(0, 0, length), media_L = batch.media_RL[row].slice(0, 0, length);
  const at::Tensor text_L = ids_L.masked_select(media_L.lt(0)).cpu();
  return {text_L.const_data_ptr<int64_t>(), text_L.const_data_ptr<int64_t>() + text_L.numel()};
}

/// Prompts and the questions that they belong to.
struct Asked {
  std::vector<Prompt> prompts;
  std::vector<size_t> questions;
};

/// Adds the prompts of one clip. Built alone, a clip is padded to nobody else's length; built with all its questions, it begins
/// in the same way whichever of them are asked.
void add_clip(const model::MicroEmo& model, const data::BatchBuilder& builder, const data::Sample& sample,
              const std::vector<data::Question>& questions, const std::vector<size_t>& asked, Asked& result) {
  std::vector<data::Question> all;
  for (size_t i = 0; i < sample.clip.utterances.size(); ++i) all.push_back({0, int64_t(i)});
  const model::ClipBatch batch = builder.build({&sample}, all, data::Purpose::generate, {}, 0);
  const model::ClipBatch there = model::on_device(batch, model.device());
  const at::Tensor tokens_RLC = model.splice(there, model.media_tokens(there));
  const int64_t common = common_beginning(batch);
  std::shared_ptr<Beginning> beginning;
  if (common > 0) beginning = std::make_shared<Beginning>(Beginning{tokens_RLC[0].slice(0, 0, common)});
  for (const size_t question : asked) {
    const int64_t row = questions[question].utterance, length = batch.lengths_R[row].item<int64_t>();
    result.prompts.push_back({.beginning = beginning,
                              .tokens_LC = tokens_RLC[row].slice(0, common, length),
                              .utterance = batch.utterance_RL[row][length - 1].item<int64_t>(),
                              .ids = text_ids(batch, row, length),
                              .sample = fmt::format("{}/{}", sample.clip.id, row)});
    result.questions.push_back(question);
  }
}

struct Generator {
  const text::Tokenizer& tokenizer;
  const model::Decoder& decoder;
  const EndTexts ends;
  const GenerateOptions& options;
  const OnText& on_text;
  std::vector<Answer>& answers;

  void answer(Asked asked) const {
    std::vector<AnswerText> texts;
    for (size_t i = 0; i < asked.prompts.size(); ++i) texts.emplace_back(tokenizer, ends);
    const auto show = [&](size_t prompt, const std::string& text) {
      if (on_text && !text.empty()) on_text(asked.questions[prompt], text);
    };
    const auto continued = continue_prompts(decoder, std::move(asked.prompts),
                                            {.end_ids = {tokenizer.end_id()},
                                             .max_new_tokens = options.max_new_tokens,
                                             .vocabulary = tokenizer.size(),
                                             .batch_rows = options.batch_rows,
                                             .sampling = options.sampling,
                                             .ends_text = [&](size_t prompt, int64_t id) {
                                               show(prompt, texts[prompt].add(id));
                                               return texts[prompt].ended();
                                             }});
    for (size_t i = 0; i < continued.size(); ++i) {
      show(i, texts[i].finish());
      answers[asked.questions[i]] = {continued[i].ids, texts[i].text(), continued[i].log_probability,
                                     continued[i].ended || texts[i].ended()};
    }
  }
};

std::vector<std::vector<size_t>> by_clip(const std::vector<const data::Sample*>& samples,
                                         const std::vector<data::Question>& questions) {
  std::vector<std::vector<size_t>> asked(samples.size());
  for (size_t i = 0; i < questions.size(); ++i) {
    MICROEMO_CHECK(questions[i].sample >= 0 && size_t(questions[i].sample) < samples.size(), "question about clip {} of {}",
                   questions[i].sample, samples.size());
    const size_t utterances = samples[size_t(questions[i].sample)]->clip.utterances.size();
    MICROEMO_CHECK(questions[i].utterance >= 0 && size_t(questions[i].utterance) < utterances,
                   "question about utterance {} of {}", questions[i].utterance, utterances);
    asked[size_t(questions[i].sample)].push_back(i);
  }
  return asked;
}

}  // namespace

std::vector<Answer> generate_answers(const model::MicroEmo& model, const data::BatchBuilder& builder,
                                     const std::vector<const data::Sample*>& samples,
                                     const std::vector<data::Question>& questions, const GenerateOptions& options,
                                     const OnText& on_text) {
  const at::NoGradGuard no_grad;
  check_sampling(options.sampling);
  check_stop(options.stop);
  const std::vector<std::vector<size_t>> asked = by_clip(samples, questions);
  std::vector<Answer> answers(questions.size());
  const Generator generator{builder.tokenizer(), model.decoder(), {options.stop, builder.end_text()}, options, on_text, answers};
  for (size_t first = 0; first < samples.size(); first += size_t(options.batch_clips)) {
    Asked held;
    for (size_t clip = first; clip < std::min(samples.size(), first + size_t(options.batch_clips)); ++clip)
      if (!asked[clip].empty()) add_clip(model, builder, *samples[clip], questions, asked[clip], held);
    generator.answer(std::move(held));
  }
  return answers;
}

}  // namespace microemo::infer
