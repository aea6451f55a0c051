#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "microemo/base/config.h"

namespace microemo::infer {

/// How the next token is chosen; the defaults take the most probable one.
struct SamplingOptions {
  double temperature = 0, top_p = 1, repetition_penalty = 1;
  int64_t top_k = 0, seed = 0;
};
template <class Visitor>
void describe(Visitor& option, SamplingOptions& o) {
  const bool draws = o.temperature > 0;
  option("temperature", o.temperature, "Tokens are drawn from softmax(logits / temperature); 0 takes the most probable one.")
      .min(0)
      .max(1000);
  option("top_k", o.top_k, "Draw among so many of the most probable tokens; 0: among all.")
      .min(0)
      .max(1 << 24)
      .only_if(draws, "temperature is above 0");
  option("top_p", o.top_p, "Draw among the fewest most probable tokens that together have this probability; 1: among all.")
      .above(0)
      .max(1)
      .only_if(draws, "temperature is above 0");
  option("seed", o.seed, "What is drawn is a function of this, the sample and the place of the token in its answer.")
      .min(0)
      .only_if(draws, "temperature is above 0");
  option("repetition_penalty", o.repetition_penalty,
         "Logits of tokens that the prompt or the answer so far has are divided by it where positive, multiplied where negative.")
      .above(0)
      .max(1000);
}
/// Throws Error(config) naming the option: a number that is NaN or outside its limits.
void check_sampling(const SamplingOptions& options);

/// The logits that a token is drawn from, processed as transformers 4.57.1 does and in its order: RepetitionPenalty (Keskar et
/// al. 2019, section 4.1), Temperature, TopK (equals of the last one stay), TopP (Holtzman et al. 2020, section 3.1; of equals at
/// its edge, where torch's sort decides there, the earlier in the table stay; at least one stays). Those that are left out are
/// minus infinity. Temperature 0 does the first alone. `seen`: the ids that the penalty is for; those outside the logits count
/// for nothing. Thread-safe.
std::vector<float> processed_logits(std::span<const float> logits, std::span<const int64_t> seen, const SamplingOptions& options);

/// The most probable token of the processed logits (the first among equals), or one drawn from their softmax in double:
/// `sample` and `place` name the draw, and nothing else decides it. Throws Error(data) naming the sample when no token is left,
/// as with logits that are NaN. Thread-safe.
int64_t choose_token(std::span<const float> logits, std::span<const int64_t> seen, const SamplingOptions& options,
                     std::string_view sample, int64_t place);

/// Throws Error(data), as choose_token does, when the most probable token's log-probability is NaN: then the logits are, too.
void check_log_probability(double log_probability, std::string_view sample, int64_t place);

}  // namespace microemo::infer
