#include "continuation.h"

#include <algorithm>
#include <span>

#include <ATen/ops/log_softmax.h>
#include <ATen/ops/tensor.h>

#include "microemo/base/error.h"

namespace microemo::infer {
namespace {

/// A text that is being written.
struct Text {
  size_t prompt = 0;
  int64_t utterance = 0, limit = 1;
  std::string sample;
  std::vector<int64_t> seen;  ///< what the penalty of repetitions is for; kept only where there is one
  model::KeyValueCache cache;
  int64_t last_id = 0;  ///< written, and not yet read
};

/// Logits of some texts and their log-probabilities, [R, vocabulary] on the CPU where tokens are drawn from them.
struct Scores {
  at::Tensor logits_RV, log_probabilities_RV, best_R, best_log_probability_R;
};

class Writer {
 public:
  Writer(const model::Decoder& decoder, const ContinuationOptions& options, size_t prompts)
      : decoder_(decoder), options_(options), result_(prompts) {
    greedy_ = options.sampling.temperature == 0 && options.sampling.repetition_penalty == 1;
  }

  std::vector<Continuation> write(std::vector<Prompt> prompts) {
    std::vector<Text> open;
    size_t next = 0;
    while (true) {
      for (; next < prompts.size() && int64_t(open.size()) < options_.batch_rows; ++next) start(prompts[next], next, open);
      if (open.empty()) return std::move(result_);
      std::vector<bool> ended(open.size());
      for (size_t first = 0; first < open.size(); first += size_t(decode_rows))
        step(std::span(open).subspan(first, std::min(size_t(decode_rows), open.size() - first)), ended, first);
      size_t place = 0;
      std::erase_if(open, [&](const Text&) { return ended[place++]; });
    }
  }

 private:
  /// Reads a prompt and writes its first token.
  void start(Prompt& prompt, size_t number, std::vector<Text>& open) {
    Text text{.prompt = number, .utterance = prompt.utterance, .sample = std::move(prompt.sample), .seen = {}, .cache = {}};
    // The last token of a text is not read again, so one more than there is room for can be written.
    text.limit = std::min(options_.max_new_tokens, decoder_.options().max_tokens - prompt.length() + 1);
    if (options_.sampling.repetition_penalty != 1) text.seen = std::move(prompt.ids);
    if (prompt.beginning) {
      if (prompt.beginning->cache.length() == 0)
        decoder_.forward(prompt.beginning->tokens_PC.unsqueeze(0), &prompt.beginning->cache);
      text.cache = prompt.beginning->cache.continued();
    }
    const at::Tensor last_1C = decoder_.forward(prompt.tokens_LC.unsqueeze(0), &text.cache).select(1, -1);
    prompt = {};
    const Scores scores = scores_of(last_1C.expand({decode_rows, -1}).contiguous(), 1);
    if (!take(text, scores, 0)) open.push_back(std::move(text));
  }

  /// One more token for at most decode_rows texts.
  void step(std::span<Text> texts, std::vector<bool>& ended, size_t first) {
    std::vector<int64_t> ids(size_t(decode_rows), texts[0].last_id), utterances(size_t(decode_rows), texts[0].utterance);
    std::vector<model::KeyValueCache*> caches;
    for (size_t i = 0; i < texts.size(); ++i) {
      ids[i] = texts[i].last_id;
      utterances[i] = texts[i].utterance;
      caches.push_back(&texts[i].cache);
    }
    const at::Tensor tokens_RC = decoder_.add_utterances(decoder_.embed(on_device(ids)), on_device(utterances));
    const Scores scores = scores_of(decoder_.forward_next(tokens_RC, caches), int64_t(texts.size()));
    for (size_t i = 0; i < texts.size(); ++i) ended[first + i] = take(texts[i], scores, int64_t(i));
  }

  at::Tensor on_device(const std::vector<int64_t>& numbers) const {
    return at::tensor(numbers, at::TensorOptions(at::kLong)).to(decoder_.output_weight().device());
  }

  /// Public token tables have more rows than their tokenizer has tokens; what no text stands for is never chosen.
  Scores scores_of(const at::Tensor& hidden_RC, int64_t rows) const {
    const at::Tensor known_RV = decoder_.logits(hidden_RC).slice(1, 0, options_.vocabulary);
    Scores scores;
    const at::Tensor log_probabilities_RV = at::log_softmax(known_RV, 1, at::kFloat);
    if (greedy_) {
      const auto [values, ids] = log_probabilities_RV.max(1);
      scores.best_R = ids.cpu();
      scores.best_log_probability_R = values.cpu();
    } else {
      scores.logits_RV = known_RV.slice(0, 0, rows).to(at::kCPU, at::kFloat).contiguous();
      scores.log_probabilities_RV = log_probabilities_RV.slice(0, 0, rows).cpu();
    }
    return scores;
  }

  /// Chooses the next token of a text from one row of scores; true when the text ends.
  bool take(Text& text, const Scores& scores, int64_t row) {
    Continuation& written = result_[text.prompt];
    int64_t id = 0;
    if (greedy_) {
      id = scores.best_R.const_data_ptr<int64_t>()[row];
      const float log_probability = scores.best_log_probability_R.const_data_ptr<float>()[row];
      check_log_probability(log_probability, text.sample, int64_t(written.ids.size()));
      written.log_probability += log_probability;
    } else {
      const int64_t count = scores.logits_RV.size(1);
      const std::span<const float> logits(scores.logits_RV.const_data_ptr<float>() + row * count, size_t(count));
      id = choose_token(logits, text.seen, options_.sampling, text.sample, int64_t(written.ids.size()));
      written.log_probability += scores.log_probabilities_RV.const_data_ptr<float>()[row * count + id];
      if (options_.sampling.repetition_penalty != 1) text.seen.push_back(id);
    }
    text.last_id = id;
    written.ended = std::find(options_.end_ids.begin(), options_.end_ids.end(), id) != options_.end_ids.end();
    if (written.ended) return true;
    written.ids.push_back(id);
    if (options_.ends_text) written.ended = options_.ends_text(text.prompt, id);
    return written.ended || int64_t(written.ids.size()) == text.limit;
  }

  const model::Decoder& decoder_;
  const ContinuationOptions& options_;
  std::vector<Continuation> result_;
  bool greedy_ = true;
};

}  // namespace

std::vector<Continuation> continue_prompts(const model::Decoder& decoder, std::vector<Prompt> prompts,
                                           const ContinuationOptions& options) {
  MICROEMO_CHECK(options.max_new_tokens > 0 && options.batch_rows > 0 && options.vocabulary > 0,
                 "{} tokens of {} for {} rows at a time", options.max_new_tokens, options.vocabulary, options.batch_rows);
  for (const Prompt& prompt : prompts)
    MICROEMO_CHECK(prompt.tokens_LC.size(0) > 0 && prompt.length() <= decoder.options().max_tokens,
                   "a prompt of {} tokens for a decoder of {}", prompt.length(), decoder.options().max_tokens);
  const size_t count = prompts.size();
  return Writer(decoder, options, count).write(std::move(prompts));
}

}  // namespace microemo::infer
