// Shapes: L tokens, C width, V vocabulary.
#include "microemo/infer/text_generation.h"

#include <algorithm>
#include <span>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/tensor.h>

#include "continuation.h"
#include "microemo/base/error.h"

namespace microemo::infer {
namespace {

void check_ids(const model::Decoder& decoder, const std::vector<int64_t>& ids) {
  const int64_t rows = decoder.embedding_rows();
  for (const int64_t id : ids)
    if (id < 0 || id >= rows)
      throw DataError("token {} of the prompt is not in the model's table of {}", id, rows)
          .hint("use the tokenizer that lies beside the model");
}

Error too_long(int64_t tokens, int64_t most) {
  return DataError("the prompt has {} tokens, and the model reads {} at most", tokens, most);
}

at::Tensor token_row(const std::vector<int64_t>& ids, const at::Device& device) {
  return at::tensor(ids, at::TensorOptions(at::kLong)).to(device).unsqueeze(0);
}

int64_t vocabulary_of(const model::Decoder& decoder, const TextGenerationOptions& options) {
  const int64_t rows = decoder.output_weight().size(0);
  return options.vocabulary > 0 ? std::min(options.vocabulary, rows) : rows;
}

/// The next token and its log-probability.
std::pair<int64_t, double> next_token(const at::Tensor& logits_V, const std::vector<int64_t>& seen,
                                      const SamplingOptions& sampling, const std::string& sample, int64_t place) {
  const at::Tensor log_probabilities_V = at::log_softmax(logits_V, 0, at::kFloat);
  if (sampling.temperature == 0 && sampling.repetition_penalty == 1) {
    const auto [log_probability, best] = log_probabilities_V.max(0);
    check_log_probability(log_probability.item<double>(), sample, place);
    return {best.item<int64_t>(), log_probability.item<double>()};
  }
  const at::Tensor logits = logits_V.to(at::kCPU, at::kFloat).contiguous();
  const int64_t id = choose_token({logits.const_data_ptr<float>(), size_t(logits.numel())}, seen, sampling, sample, place);
  return {id, log_probabilities_V[id].item<double>()};
}

}  // namespace

TextSession::TextSession(const model::Decoder& decoder, std::string sample) : decoder_(decoder), sample_(std::move(sample)) {}

void TextSession::check(const std::vector<int64_t>& ids) const {
  if (ids.empty()) throw DataError("the prompt is empty").hint("give at least one token");
  const int64_t most = decoder_.options().max_tokens, all = int64_t(ids_.size() + ids.size());
  if (all > most)
    throw too_long(all, most).hint(ids_.empty() ? "shorten the prompt" : "begin a new conversation: this one is full");
  check_ids(decoder_, ids);
}

GeneratedText TextSession::turn(const std::vector<int64_t>& ids, const TextGenerationOptions& options,
                                const std::function<bool(int64_t)>& on_token) {
  check_sampling(options.sampling);
  check(ids);
  const at::NoGradGuard no_grad;
  const at::Device device = decoder_.output_weight().device();
  ids_.insert(ids_.end(), ids.begin(), ids.end());
  // The last token is not read again, so one more than there is room for can be written.
  const int64_t limit = std::min(options.max_new_tokens, decoder_.options().max_tokens - int64_t(ids_.size()) + 1);
  const int64_t vocabulary = vocabulary_of(decoder_, options);
  GeneratedText text;
  for (int64_t count = 0; count < limit; ++count) {
    const at::Tensor tokens_1L = token_row({ids_.begin() + cache_.length(), ids_.end()}, device);
    const at::Tensor last_C = decoder_.forward(decoder_.embed(tokens_1L), &cache_).select(1, -1).squeeze(0);
    const auto [id, log_probability] =
        next_token(decoder_.logits(last_C).slice(0, 0, vocabulary), ids_, options.sampling, sample_, drawn_++);
    text.log_probability += log_probability;
    text.ended = std::find(options.end_ids.begin(), options.end_ids.end(), id) != options.end_ids.end();
    if (text.ended) break;
    text.ids.push_back(id);
    ids_.push_back(id);
    if (on_token && !on_token(id)) break;
  }
  return text;
}

GeneratedText generate_text(const model::Decoder& decoder, const std::vector<int64_t>& prompt,
                            const TextGenerationOptions& options, const std::function<bool(int64_t)>& on_token) {
  return TextSession(decoder).turn(prompt, options, on_token);
}

std::vector<GeneratedText> generate_texts(const model::Decoder& decoder, const std::vector<int64_t>& beginning,
                                          const std::vector<TextPrompt>& prompts, const TextGenerationOptions& options,
                                          int64_t batch_rows, const std::function<bool(size_t, int64_t)>& on_token) {
  check_sampling(options.sampling);
  const at::NoGradGuard no_grad;
  const at::Device device = decoder.output_weight().device();
  check_ids(decoder, beginning);
  std::shared_ptr<Beginning> begun;
  if (!beginning.empty()) begun = std::make_shared<Beginning>(Beginning{decoder.embed(token_row(beginning, device))[0]});
  std::vector<Prompt> rows;
  for (const TextPrompt& prompt : prompts) {
    const int64_t most = decoder.options().max_tokens, all = int64_t(beginning.size() + prompt.ids.size());
    if (prompt.ids.empty()) throw DataError("the prompt '{}' is empty", prompt.id).hint("give at least one token");
    if (all > most) throw too_long(all, most).at(prompt.id).hint("shorten the prompt");
    check_ids(decoder, prompt.ids);
    Prompt row{.beginning = begun, .tokens_LC = decoder.embed(token_row(prompt.ids, device))[0], .sample = prompt.id};
    row.ids = beginning;
    row.ids.insert(row.ids.end(), prompt.ids.begin(), prompt.ids.end());
    rows.push_back(std::move(row));
  }
  std::vector<GeneratedText> texts(prompts.size());
  std::vector<bool> stopped(prompts.size());
  const auto continued = continue_prompts(
      decoder, std::move(rows),
      {.end_ids = options.end_ids,
       .max_new_tokens = options.max_new_tokens,
       .vocabulary = vocabulary_of(decoder, options),
       .batch_rows = batch_rows,
       .sampling = options.sampling,
       .ends_text = [&](size_t prompt, int64_t id) { return stopped[prompt] = on_token && !on_token(prompt, id); }});
  for (size_t i = 0; i < texts.size(); ++i)
    texts[i] = {continued[i].ids, continued[i].log_probability, continued[i].ended && !stopped[i]};
  return texts;
}

}  // namespace microemo::infer
