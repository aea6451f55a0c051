#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "microemo/infer/sampling.h"
#include "microemo/model/decoder.h"

// Shapes: R rows, L tokens, P tokens of a beginning, C decoder width.

namespace microemo::infer {

/// What several prompts begin with. It is read once, when the first of them is.
struct Beginning {
  at::Tensor tokens_PC;
  model::KeyValueCache cache = {};
};

/// The decoder's input of one question, ready to be continued.
struct Prompt {
  std::shared_ptr<Beginning> beginning = {};  ///< may be none
  at::Tensor tokens_LC;                       ///< text and media tokens behind it, at least one
  int64_t utterance = 0;                      ///< number whose learned vector the answer's tokens carry, 0 for none
  std::vector<int64_t> ids = {};              ///< of its text, for the penalty of repetitions
  std::string sample = {};                    ///< names what is drawn for it

  int64_t length() const { return tokens_LC.size(0) + (beginning ? beginning->tokens_PC.size(0) : 0); }
};

struct Continuation {
  std::vector<int64_t> ids;  ///< without the end token
  double log_probability = 0;
  bool ended = false;
};

/// Rows of every product in a decoding step, filled up where there are fewer texts. How a matrix product rounds depends on its
/// number of rows, so that is always the same.
inline constexpr int64_t decode_rows = 16;

struct ContinuationOptions {
  std::vector<int64_t> end_ids = {};
  int64_t max_new_tokens = 1;
  int64_t vocabulary = 0;  ///< only tokens below are chosen
  int64_t batch_rows = 16;
  SamplingOptions sampling = {};
  /// Called with every token but the end token, for each prompt in order; true ends its text with it. May be empty.
  std::function<bool(size_t prompt, int64_t id)> ends_text = {};
};

/// Continues each prompt until its end, batch_rows of them at a time: a text that ends makes room for the next prompt. Prompts
/// are let go of as they are read. On the CPU with a fixed number of threads what is written after a prompt depends on the prompt
/// alone, bit for bit: each is read by itself, attention goes row by row, and every other product has decode_rows rows.
std::vector<Continuation> continue_prompts(const model::Decoder& decoder, std::vector<Prompt> prompts,
                                           const ContinuationOptions& options);

}  // namespace microemo::infer
