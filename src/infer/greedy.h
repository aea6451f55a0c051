#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include <ATen/core/Tensor.h>

#include "microemo/model/decoder.h"

// Shapes: R rows, L tokens, C decoder width.

namespace microemo::infer {

/// The decoder's input of one question, ready to be continued.
struct Prompt {
  at::Tensor tokens_LC;   ///< text and media tokens in their places
  int64_t utterance = 0;  ///< number whose learned vector the answer's tokens carry, 0 for none
};

struct Continuation {
  std::vector<int64_t> ids;  ///< without the end token
  double log_probability = 0;
  bool ended = false;
};

/// Rows of every decoding step. How a matrix product rounds depends on its number of rows, so that is always the same.
inline constexpr size_t decode_rows = 8;

/// When a continuation ends, and what it is made of.
struct GreedyEnd {
  int64_t id = 0;          ///< the end token
  int64_t limit = 1;       ///< of tokens
  int64_t vocabulary = 0;  ///< only tokens below are chosen
  /// Called with every token but the end token, row by row in order; true ends the row with it. May be empty.
  std::function<bool(size_t row, int64_t id)> ends_text = {};
};

/// The most probable token, again and again, until the end. 1 to decode_rows prompts, all with the same number of tokens.
std::vector<Continuation> continue_greedily(const model::Decoder& decoder, const std::vector<Prompt>& prompts,
                                            const GreedyEnd& end);

}  // namespace microemo::infer
