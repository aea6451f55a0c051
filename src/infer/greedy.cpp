#include "greedy.h"

#include <algorithm>

#include <ATen/ops/cat.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/tensor.h>

#include "microemo/base/error.h"

namespace microemo::infer {
namespace {

struct Prefilled {
  model::KeyValueCache cache;
  at::Tensor last_RC;
};

/// Reads the prompts row by row, so that the values of each depend on nothing else, and stacks what was cached. The last prompt
/// is repeated to fill up the batch.
Prefilled prefill(const model::Decoder& decoder, const std::vector<Prompt>& prompts) {
  std::vector<model::KeyValueCache> caches(prompts.size());
  std::vector<at::Tensor> last;
  for (size_t row = 0; row < prompts.size(); ++row)
    last.push_back(decoder.forward(prompts[row].tokens_LC.unsqueeze(0), &caches[row]).select(1, -1));
  std::vector<size_t> rows;
  for (size_t row = 0; row < decode_rows; ++row) rows.push_back(std::min(row, prompts.size() - 1));
  Prefilled result;
  result.cache = model::KeyValueCache::stacked(caches, rows);
  std::vector<at::Tensor> stacked;
  for (const size_t row : rows) stacked.push_back(last[row]);
  result.last_RC = at::cat(stacked);
  return result;
}

at::Tensor utterance_numbers(const std::vector<Prompt>& prompts, const at::Device& device) {
  std::vector<int64_t> numbers;
  for (size_t row = 0; row < decode_rows; ++row) numbers.push_back(prompts[std::min(row, prompts.size() - 1)].utterance);
  return at::tensor(numbers, at::TensorOptions(at::kLong)).to(device).unsqueeze(1);
}

/// The best token of every row and its log-probability.
struct Best {
  at::Tensor ids_R, log_probabilities_R;
};

/// Public token tables have more rows than their tokenizer has tokens; what no text stands for is never chosen.
Best best_tokens(const at::Tensor& logits_RV, int64_t vocabulary) {
  const at::Tensor known_RV = logits_RV.slice(-1, 0, vocabulary);
  const auto [values, ids] = at::log_softmax(known_RV, -1, at::kFloat).max(-1);
  return {ids, values};
}

/// Adds each row's token to its continuation; false when every row has ended.
bool take_tokens(const Best& best, const GreedyEnd& end, std::vector<Continuation>& rows) {
  const at::Tensor ids = best.ids_R.cpu(), log_probabilities = best.log_probabilities_R.cpu();
  bool open = false;
  for (size_t row = 0; row < rows.size(); ++row) {
    if (rows[row].ended) continue;
    const int64_t id = ids.const_data_ptr<int64_t>()[row];
    rows[row].log_probability += log_probabilities.const_data_ptr<float>()[row];
    rows[row].ended = id == end.id;
    if (!rows[row].ended) rows[row].ids.push_back(id);
    if (!rows[row].ended && end.ends_text) rows[row].ended = end.ends_text(row, id);
    open = open || !rows[row].ended;
  }
  return open;
}

}  // namespace

std::vector<Continuation> continue_greedily(const model::Decoder& decoder, const std::vector<Prompt>& prompts,
                                            const GreedyEnd& end) {
  MICROEMO_CHECK(!prompts.empty() && prompts.size() <= decode_rows && end.limit > 0, "{} prompts, at most {} tokens",
                 prompts.size(), end.limit);
  for (const Prompt& prompt : prompts)
    MICROEMO_CHECK(prompt.tokens_LC.size(0) == prompts[0].tokens_LC.size(0), "prompts of {} and {} tokens in one batch",
                   prompts[0].tokens_LC.size(0), prompt.tokens_LC.size(0));
  std::vector<Continuation> rows(prompts.size());
  auto [cache, last_RC] = prefill(decoder, prompts);
  const at::Tensor utterance_R1 = utterance_numbers(prompts, last_RC.device());
  for (int64_t count = 1;; ++count) {
    const Best best = best_tokens(decoder.logits(last_RC), end.vocabulary);
    if (!take_tokens(best, end, rows) || count == end.limit) return rows;
    const at::Tensor tokens_R1C = decoder.add_utterances(decoder.embed(best.ids_R.unsqueeze(1)), utterance_R1);
    last_RC = decoder.forward(tokens_R1C, &cache).select(1, 0);
  }
}

}  // namespace microemo::infer
