// Shapes: L tokens, C width, V vocabulary.
#include "microemo/infer/text_generation.h"

#include <algorithm>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/tensor.h>

#include "microemo/base/error.h"

namespace microemo::infer {
namespace {

void check_prompt(const model::Decoder& decoder, const std::vector<int64_t>& prompt) {
  if (prompt.empty()) throw DataError("the prompt is empty").hint("give at least one token");
  const int64_t most = decoder.options().max_tokens, rows = decoder.embedding_rows();
  if (int64_t(prompt.size()) > most)
    throw DataError("the prompt has {} tokens, and the model reads {} at most", prompt.size(), most).hint("shorten the prompt");
  for (const int64_t id : prompt)
    if (id < 0 || id >= rows)
      throw DataError("token {} of the prompt is not in the model's table of {}", id, rows)
          .hint("use the tokenizer that lies beside the model");
}

at::Tensor token_row(const std::vector<int64_t>& ids, const at::Device& device) {
  return at::tensor(ids, at::TensorOptions(at::kLong)).to(device).unsqueeze(0);
}

}  // namespace

GeneratedText generate_text(const model::Decoder& decoder, const std::vector<int64_t>& prompt,
                            const TextGenerationOptions& options, const std::function<bool(int64_t)>& on_token) {
  check_prompt(decoder, prompt);
  const at::NoGradGuard no_grad;
  const at::Device device = decoder.output_weight().device();
  // The last token is not read again, so one more than there is room for can be written.
  const int64_t limit = std::min(options.max_new_tokens, decoder.options().max_tokens - int64_t(prompt.size()) + 1);
  GeneratedText text;
  model::KeyValueCache cache;
  at::Tensor tokens_1L = token_row(prompt, device);
  for (int64_t count = 0; count < limit; ++count) {
    const at::Tensor last_C = decoder.forward(decoder.embed(tokens_1L), &cache).select(1, -1).squeeze(0);
    const auto [log_probability, best] = at::log_softmax(decoder.logits(last_C), 0, at::kFloat).max(0);
    const int64_t id = best.item<int64_t>();
    text.log_probability += log_probability.item<double>();
    text.ended = std::find(options.end_ids.begin(), options.end_ids.end(), id) != options.end_ids.end();
    if (text.ended) break;
    text.ids.push_back(id);
    if (on_token && !on_token(id)) break;
    tokens_1L = token_row({id}, device);
  }
  return text;
}

}  // namespace microemo::infer
