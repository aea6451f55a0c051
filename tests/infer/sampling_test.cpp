#include "microemo/infer/sampling.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "microemo/base/json.h"
#include "microemo/infer/text_generation.h"
#include "microemo/model/hf_decoder.h"
#include "support/errors.h"

namespace microemo::infer {
namespace {

constexpr float left_out = -std::numeric_limits<float>::infinity();
const std::filesystem::path data = std::filesystem::path(MICROEMO_SOURCE_DIR) / "tests/data";

/// What transformers computed and wrote (tests/reference/sampling.py).
const Json& golden() {
  static const Json json = read_json(data / "sampling.json");
  return json;
}

SamplingOptions options_of(const Json& line) {
  return {.temperature = line.at("temperature"),
          .top_p = line.at("top_p"),
          .repetition_penalty = line.at("repetition_penalty"),
          .top_k = line.at("top_k")};
}

struct Case {
  std::vector<float> logits;
  std::vector<int64_t> seen;
  SamplingOptions options;

  explicit Case(const Json& line)
      : logits(line.at("logits").get<std::vector<float>>()), seen(line.at("seen")), options(options_of(line)) {}
};

/// The values that are left, in order.
std::vector<float> kept(std::vector<float> logits) {
  std::erase(logits, left_out);
  std::sort(logits.begin(), logits.end());
  return logits;
}

TEST(Sampling, LeavesTheLogitsOfTransformers) {
  ASSERT_EQ(golden().at("processed").size(), 108u);
  for (const Json& line : golden().at("processed")) {
    Case given(line);
    const std::string name = options_to_json(given.options).dump();
    const std::vector<float> got = processed_logits(given.logits, given.seen, given.options);
    std::vector<float> wanted;
    for (const Json& value : line.at("processed")) wanted.push_back(value.is_null() ? left_out : value.get<float>());
    const std::vector<float> got_kept = kept(got), wanted_kept = kept(wanted);
    ASSERT_EQ(got_kept.size(), wanted_kept.size()) << name;
    for (size_t i = 0; i < got_kept.size(); ++i) EXPECT_FLOAT_EQ(got_kept[i], wanted_kept[i]) << name;
    given.options.top_k = 0;
    given.options.top_p = 1;
    const std::vector<float> all = processed_logits(given.logits, given.seen, given.options);
    for (size_t id = 0; id < got.size(); ++id)  // which of equals is kept, torch's sort leaves open
      if (std::count(all.begin(), all.end(), all[id]) == 1) {
        EXPECT_FLOAT_EQ(got[id], wanted[id]) << id << " of " << name;
      }
  }
}

TEST(Sampling, KeepsTheEarlierOfEqualsAtTheEdge) {
  const std::vector<float> logits{0, 3, 1, 3, 3}, left = processed_logits(logits, {}, {.temperature = 1, .top_p = 0.5});
  EXPECT_EQ(left, (std::vector<float>{left_out, 3, left_out, 3, left_out}));
  const std::vector<float> all = processed_logits(logits, {}, {.temperature = 1, .top_k = 1});
  EXPECT_EQ(all, (std::vector<float>{left_out, 3, left_out, 3, 3}));
}

TEST(Sampling, DrawsTokensAsOftenAsTransformersProbabilitiesSay) {
  constexpr int draws = 4000;
  for (const size_t number : {0, 4, 36, 40, 72}) {
    const Json& line = golden().at("processed")[number];
    const Case given(line);
    std::vector<int> count(given.logits.size());
    for (int i = 0; i < draws; ++i) ++count[size_t(choose_token(given.logits, given.seen, given.options, "clip", i))];
    for (size_t id = 0; id < count.size(); ++id) {
      const double probability = line.at("probabilities")[id], expected = draws * probability;
      if (probability == 0) {
        EXPECT_EQ(count[id], 0) << id;
        continue;
      }
      // Five standard deviations of a binomial count, and one draw.
      EXPECT_NEAR(count[id], expected, 5 * std::sqrt(expected * (1 - probability)) + 1) << id << " of case " << number;
    }
  }
}

class Penalised : public testing::TestWithParam<const char*> {};

TEST_P(Penalised, WritesTheTokensOfTransformers) {
  const auto decoder = model::load_hf_decoder(data / "checkpoint" / GetParam());
  int compared = 0;
  for (const Json& line : golden().at("penalised")) {
    if (line.at("model") != GetParam()) continue;
    const TextGenerationOptions options{
        .max_new_tokens = 40, .end_ids = {2}, .sampling = {.repetition_penalty = line.at("repetition_penalty")}};
    const GeneratedText text = generate_text(*decoder, line.at("prompt").get<std::vector<int64_t>>(), options);
    EXPECT_EQ(text.ids, line.at("ids").get<std::vector<int64_t>>());
    EXPECT_EQ(text.ended, line.at("ended").get<bool>());
    ++compared;
  }
  EXPECT_EQ(compared, 6);
}

INSTANTIATE_TEST_SUITE_P(Golden, Penalised, testing::Values("llama", "mistral", "qwen2"));

const std::vector<float> even(1000, 0.0f);  // every token is as probable

TEST(Sampling, GivesTheSameDrawToTheSameSeedSampleAndPlace) {
  const SamplingOptions options{.temperature = 1, .seed = 3};
  EXPECT_EQ(choose_token(even, {}, options, "clip", 4), choose_token(even, {}, options, "clip", 4));
}

TEST(Sampling, GivesOtherDrawsToOtherSeedsSamplesAndPlaces) {
  const SamplingOptions options{.temperature = 1, .seed = 3}, other{.temperature = 1, .seed = 4};
  const int64_t id = choose_token(even, {}, options, "clip", 4);
  EXPECT_NE(choose_token(even, {}, other, "clip", 4), id);
  EXPECT_NE(choose_token(even, {}, options, "clap", 4), id);
  EXPECT_NE(choose_token(even, {}, options, "clip", 5), id);
}

TEST(Sampling, TakesTheFirstOfTheMostProbableTokensUnlessItDraws) {
  EXPECT_EQ(choose_token(std::vector<float>{1, 5, 2, 5}, {}, {}, "clip", 0), 1);
}

TEST(Sampling, KeepsOneTokenHoweverSmallTheShare) {
  const SamplingOptions options{.temperature = 1, .top_p = 1e-9};
  for (int64_t place = 0; place < 20; ++place)
    EXPECT_EQ(choose_token(std::vector<float>{1, 5, 2, 5}, {}, options, "clip", place), 1);
}

TEST(Sampling, CountsOnlyTokensOfTheTableAsSeen) {
  const std::vector<int64_t> seen{-1, 7, 1};
  EXPECT_EQ(processed_logits(std::vector<float>{1, 5, 2, 5}, seen, {.repetition_penalty = 2}),
            (std::vector<float>{1, 2.5, 2, 5}));
}

TEST(Sampling, RefusesLogitsThatAreNotNumbers) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const double temperature : {0.0, 1.0})
    for (const std::vector<float>& logits : {std::vector<float>{1, nan, 2}, std::vector<float>{nan, 1, 2}})
      test::expect_error(
          ErrorKind::data, [&] { choose_token(logits, {}, {.temperature = temperature}, "clip 7", 3); },
          "no probabilities for token 3 of the answer about 'clip 7'");
}

TEST(Sampling, RefusesOptionsOutsideTheirLimits) {
  const double nan = std::numeric_limits<double>::quiet_NaN(), infinite = std::numeric_limits<double>::infinity();
  const auto refused = [](const SamplingOptions& options, const char* says) {
    test::expect_error(
        ErrorKind::config, [&] { check_sampling(options); }, says);
  };
  for (const double bad : {-0.1, nan, infinite}) refused({.temperature = bad}, "temperature is");
  for (const double bad : {0.0, -1.0, 1.01, nan}) refused({.top_p = bad}, "top_p is");
  for (const double bad : {0.0, -1.0, nan, infinite}) refused({.repetition_penalty = bad}, "repetition_penalty is");
  refused({.top_k = -1}, "top_k is -1");
  refused({.seed = -1}, "seed is -1");
  check_sampling({});
}

TEST(Sampling, RefusesConfigurationThatHasNoEffectOrIsNoNumber) {
  const auto refused = [](const std::vector<std::string>& overrides, const char* says) {
    SamplingOptions options;
    test::expect_error(
        ErrorKind::config, [&] { load_config(options, {}, overrides); }, says);
  };
  refused({"top_p=0.9"}, "top_p");
  refused({"temperature=nan"}, "temperature");
  refused({"temperature=-1"}, "temperature");
  refused({"temperature=1", "top_p=0"}, "top_p");
  refused({"temperature=1", "top_k=-3"}, "top_k");
}

}  // namespace
}  // namespace microemo::infer
