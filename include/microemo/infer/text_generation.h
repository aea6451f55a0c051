#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "microemo/model/decoder.h"

namespace microemo::infer {

struct TextGenerationOptions {
  int64_t max_new_tokens = 256;
  std::vector<int64_t> end_ids =
      {};  ///< the first of these that is written ends the text and is no part of it; none: the limit alone
};

struct GeneratedText {
  std::vector<int64_t> ids;
  double log_probability = 0;  ///< natural logarithm, with that of the end token
  bool ended = false;          ///< by an end token; false: by max_new_tokens, the decoder's max_tokens, or the caller
};

/// The most probable token, again and again: what transformers' generate(do_sample=False) writes. Keys and values are kept, so a
/// token costs one pass over one row. `on_token` gets every token that is part of the text as soon as it is known, and stops the
/// text by returning false. Throws Error(data) for a prompt that is empty, longer than the decoder's max_tokens, or holds an id
/// that is not in its table. Thread rule: any number of threads per decoder.
GeneratedText generate_text(const model::Decoder& decoder, const std::vector<int64_t>& prompt,
                            const TextGenerationOptions& options, const std::function<bool(int64_t)>& on_token = {});

}  // namespace microemo::infer
