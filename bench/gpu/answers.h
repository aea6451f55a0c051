#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

namespace microemo {

/// The tokens of greedy answers to the same prompts, and how sure the decoder was of each.
struct Answers {
  std::vector<std::vector<int64_t>> ids;
  /// For each token the largest logit less the second largest, in fp32 on the CPU behind the tokens before it.
  std::vector<std::vector<double>> margins;
};

/// Above this margin a token has to be the same on every device and in every batch.
inline constexpr double sure_margin = 1e-3;

/// Other answers to the prompts against those of `Answers`. From an answer's first other token on nothing of it is compared, as
/// the tokens behind it follow from something else.
struct AnswerDifferences {
  int64_t tokens = 0, compared = 0;
  int64_t unsure = 0;      ///< of those compared, with a margin that is not above sure_margin
  int64_t other = 0;       ///< answers that are other than in `Answers`
  std::string wrong = {};  ///< the first token that is other although its margin is above sure_margin, in words; empty: none
};
AnswerDifferences compare_answers(const Answers& wanted, const std::vector<std::vector<int64_t>>& found);

/// Answers prompts of many lengths with a small decoder of random weights in fp32: on the CPU one by one, on the device one by
/// one, 5 and 16 at a time, and 16 at a time in the reverse order. Prints the share of tokens whose margin is not above
/// sure_margin and, for each way, how many answers are other and how many tokens were compared. False when a token with a larger
/// margin is other.
bool same_answers(const at::Device& device);

}  // namespace microemo
