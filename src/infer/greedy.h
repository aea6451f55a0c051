#pragma once
#include <cstdint>
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
  std::vector<int64_t> ids;  ///< without end_id
  double log_probability = 0;
  bool ended = false;
};

/// Rows of every decoding step. How a matrix product rounds depends on its number of rows, so that is always the same.
inline constexpr size_t decode_rows = 8;

/// The most probable token, again and again, until `end_id` or `limit` tokens. 1 to decode_rows prompts, all with the same number
/// of tokens.
std::vector<Continuation> continue_greedily(const model::Decoder& decoder, const std::vector<Prompt>& prompts, int64_t end_id,
                                            int64_t limit);

}  // namespace microemo::infer
