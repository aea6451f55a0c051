#include "microemo/infer/sampling.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "microemo/base/error.h"
#include "microemo/base/random.h"

namespace microemo::infer {
namespace {

constexpr float left_out = -std::numeric_limits<float>::infinity();

void penalise(std::vector<float>& logits, std::span<const int64_t> seen, double penalty) {
  std::vector<int64_t> ids(seen.begin(), seen.end());
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  for (const int64_t id : ids) {
    if (id < 0 || id >= int64_t(logits.size())) continue;
    float& logit = logits[size_t(id)];
    logit = logit < 0 ? logit * float(penalty) : logit / float(penalty);
  }
}

void keep_top_k(std::vector<float>& logits, int64_t count) {
  if (count <= 0 || count >= int64_t(logits.size())) return;
  std::vector<float> sorted = logits;
  std::nth_element(sorted.begin(), sorted.begin() + (count - 1), sorted.end(), std::greater<>());
  const float least = sorted[size_t(count - 1)];
  for (float& logit : logits)
    if (logit < least) logit = left_out;
}

/// exp(logit - largest) of each, and their sum; in double, whatever the length of the table.
std::pair<std::vector<double>, double> weights_of(const std::vector<float>& logits) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  std::vector<double> weights(logits.size());
  std::transform(logits.begin(), logits.end(), weights.begin(), [&](float logit) { return std::exp(double(logit) - largest); });
  return {weights, std::accumulate(weights.begin(), weights.end(), 0.0)};
}

/// Leaves out the least probable tokens as long as they have no more than 1 - p together.
void keep_top_p(std::vector<float>& logits, double p) {
  if (p >= 1) return;
  const auto [weights, total] = weights_of(logits);
  const double room = (1 - p) * total, surely_out = room / double(weights.size());
  // Tokens of so little weight are left out whatever their order, so that only the others need sorting.
  double left = 0;
  std::vector<size_t> others;
  for (size_t id = 0; id < weights.size(); ++id)
    if (weights[id] <= surely_out) {
      left += weights[id];
      logits[id] = left_out;
    } else {
      others.push_back(id);
    }
  std::sort(others.begin(), others.end(),
            [&weights = weights](size_t a, size_t b) { return weights[a] < weights[b] || (weights[a] == weights[b] && a > b); });
  for (size_t i = 0; i + 1 < others.size(); ++i) {
    left += weights[others[i]];
    if (left > room) return;
    logits[others[i]] = left_out;
  }
}

int64_t drawn(const std::vector<float>& logits, double uniform) {
  const auto [weights, total] = weights_of(logits);
  double left = uniform * total;
  int64_t last = 0;
  for (size_t id = 0; id < weights.size(); ++id) {
    if (weights[id] == 0) continue;
    last = int64_t(id);
    left -= weights[id];
    if (left < 0) break;
  }
  return last;
}

[[noreturn]] void refuse_logits(std::string_view sample, int64_t place) {
  throw DataError("the model gives no probabilities for token {} of the answer about '{}'", place, sample)
      .hint("look for NaN in its weights (--check-finite), and compute in fp32");
}

void require(bool holds, const char* option, double value, const char* range) {
  if (!holds) throw ConfigError("{} is {}", option, value).at(option).hint(fmt::format("choose {}", range));
}

}  // namespace

void check_sampling(const SamplingOptions& o) {
  require(o.temperature >= 0 && o.temperature <= 1000, "temperature", o.temperature,
          "0 for the most probable token, or up to 1000");
  require(o.top_k >= 0, "top_k", double(o.top_k), "a number of tokens, or 0 for all");
  require(o.top_p > 0 && o.top_p <= 1, "top_p", o.top_p, "more than 0 and at most 1");
  require(o.repetition_penalty > 0 && o.repetition_penalty <= 1000, "repetition_penalty", o.repetition_penalty,
          "more than 0 and at most 1000; 1 changes nothing");
  require(o.seed >= 0, "seed", double(o.seed), "0 or more");
}

std::vector<float> processed_logits(std::span<const float> logits, std::span<const int64_t> seen,
                                    const SamplingOptions& options) {
  std::vector<float> processed(logits.begin(), logits.end());
  if (options.repetition_penalty != 1) penalise(processed, seen, options.repetition_penalty);
  if (options.temperature == 0) return processed;
  for (float& logit : processed) logit /= float(options.temperature);
  keep_top_k(processed, options.top_k);
  keep_top_p(processed, options.top_p);
  return processed;
}

int64_t choose_token(std::span<const float> logits, std::span<const int64_t> seen, const SamplingOptions& options,
                     std::string_view sample, int64_t place) {
  const std::vector<float> processed = processed_logits(logits, seen, options);
  const auto best = std::max_element(processed.begin(), processed.end());
  if (best == processed.end() || !std::isfinite(*best) ||
      std::any_of(processed.begin(), processed.end(), [](float logit) { return std::isnan(logit); }))
    refuse_logits(sample, place);
  if (options.temperature == 0) return best - processed.begin();
  Random random(uint64_t(options.seed), fmt::format("token of {}", sample), {uint64_t(place)});
  return drawn(processed, random.uniform());
}

void check_log_probability(double log_probability, std::string_view sample, int64_t place) {
  if (std::isnan(log_probability)) refuse_logits(sample, place);
}

}  // namespace microemo::infer
