#include "microemo/infer/text_generation.h"

#include <gtest/gtest.h>

#include <cmath>

#include "microemo/base/json.h"
#include "microemo/model/hf_decoder.h"
#include "support/errors.h"

namespace microemo::infer {
namespace {

using test::expect_error;

const std::filesystem::path data = std::filesystem::path(MICROEMO_SOURCE_DIR) / "tests/data/checkpoint";
constexpr int64_t end_of_text = 2;  // of the small models

/// What transformers wrote (tests/reference/generate.py).
Json recorded(const std::string& model) {
  Json found = Json::array();
  for (const Json& line : read_json(data / "generated.json"))
    if (line.at("model") == model) found.push_back(line);
  return found;
}

class TextGeneration : public testing::TestWithParam<const char*> {
 protected:
  std::shared_ptr<model::Decoder> decoder_ = model::load_hf_decoder(data / GetParam());
};

TEST_P(TextGeneration, WritesTheTokensOfTransformers) {
  const Json lines = recorded(GetParam());
  EXPECT_EQ(lines.size(), 5u);
  for (const Json& line : lines) {
    const GeneratedText text =
        generate_text(*decoder_, line.at("prompt").get<std::vector<int64_t>>(), {.max_new_tokens = 60, .end_ids = {end_of_text}});
    EXPECT_EQ(text.ids, line.at("ids").get<std::vector<int64_t>>());
    EXPECT_EQ(text.ended, line.at("ended").get<bool>());
    EXPECT_LT(text.log_probability, 0);
  }
}

TEST_P(TextGeneration, WritesWhatItWouldWithoutACache) {
  const at::NoGradGuard no_grad;
  std::vector<int64_t> read = {5, 9, 41};
  const GeneratedText text = generate_text(*decoder_, read, {.max_new_tokens = 12});
  for (const int64_t id : text.ids) {
    const at::Tensor hidden_1LC = decoder_->forward(decoder_->embed(at::tensor(read, at::kLong).unsqueeze(0)));
    EXPECT_EQ(decoder_->logits(hidden_1LC.select(1, -1)).argmax().item<int64_t>(), id);
    read.push_back(id);
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, TextGeneration, testing::Values("llama", "mistral", "qwen2"));

class Llama : public testing::Test {
 protected:
  GeneratedText generate(const std::vector<int64_t>& prompt, const TextGenerationOptions& options) const {
    return generate_text(*decoder_, prompt, options);
  }
  std::shared_ptr<model::Decoder> decoder_ = model::load_hf_decoder(data / "llama");
};

TEST_F(Llama, HandsOverEveryTokenAndStopsWhenTold) {
  std::vector<int64_t> shown;
  const GeneratedText text = generate_text(*decoder_, {5, 9}, {.max_new_tokens = 20}, [&](int64_t id) {
    shown.push_back(id);
    return shown.size() < 3;
  });
  EXPECT_EQ(text.ids, shown);
  EXPECT_EQ(shown.size(), 3u);
  EXPECT_FALSE(text.ended);
}

TEST_F(Llama, IsRefusedWhereItsLogitsAreNaN) {
  const at::NoGradGuard no_grad;
  decoder_->output_weight()[7].fill_(std::nan(""));
  expect_error(
      ErrorKind::data,
      [&] {
        generate({5, 9}, {.max_new_tokens = 3});
      },
      "the model gives no probabilities for token 0");
}

TEST_F(Llama, EndsAtAnyOfTheEndTokens) {
  const GeneratedText whole = generate({5, 9}, {.max_new_tokens = 6});
  ASSERT_EQ(whole.ids.size(), 6u);
  const GeneratedText cut = generate({5, 9}, {.max_new_tokens = 6, .end_ids = {-7, whole.ids[4]}});
  const auto first = std::find(whole.ids.begin(), whole.ids.end(), whole.ids[4]);
  EXPECT_EQ(cut.ids, std::vector<int64_t>(whole.ids.begin(), first));
  EXPECT_TRUE(cut.ended);
}

TEST_F(Llama, FillsTheLongestTextAndNoMore) {
  const std::vector<int64_t> prompt(126, 7);
  EXPECT_EQ(generate(prompt, {.max_new_tokens = 50}).ids.size(), 3u);  // the third is written and not read again
}

TEST_F(Llama, GoesOnInTurnsAsFromTheWholeText) {
  TextSession session(*decoder_);
  std::vector<int64_t> all;
  for (const std::vector<int64_t>& said : std::vector<std::vector<int64_t>>{{5, 9, 41}, {17}, {8, 8, 30, 3, 60, 11}}) {
    all.insert(all.end(), said.begin(), said.end());
    const GeneratedText text = session.turn(said, {.max_new_tokens = 6});
    EXPECT_EQ(text.ids, generate(all, {.max_new_tokens = 6}).ids);
    all.insert(all.end(), text.ids.begin(), text.ids.end());
    EXPECT_EQ(session.ids(), all);
    EXPECT_EQ(session.read(), int64_t(all.size()) - 1);
  }
}

TEST_F(Llama, RefusesATurnThatDoesNotFitAndGoesOn) {
  TextSession session(*decoder_);
  session.turn(std::vector<int64_t>(120, 7), {.max_new_tokens = 4});
  expect_error(
      ErrorKind::data, [&] { session.turn(std::vector<int64_t>(5, 7), {}); }, "129 tokens, and the model reads 128");
  EXPECT_EQ(session.ids().size(), 124u);
  EXPECT_EQ(session.turn({7}, {.max_new_tokens = 2}).ids.size(), 2u);
}

TEST_F(Llama, DrawsTheSameTextFromTheSameSeed) {
  const TextGenerationOptions one{.max_new_tokens = 20, .sampling = {.temperature = 1, .seed = 1}};
  TextGenerationOptions two = one;
  two.sampling.seed = 2;
  EXPECT_EQ(generate({5, 9}, one).ids, generate({5, 9}, one).ids);
  EXPECT_NE(generate({5, 9}, one).ids, generate({5, 9}, two).ids);
}

TEST_F(Llama, WritesNoTokenBeyondTheVocabulary) {
  for (const int64_t id : generate({5, 9}, {.max_new_tokens = 40, .sampling = {.temperature = 20}, .vocabulary = 10}).ids)
    EXPECT_LT(id, 10);
}

/// Prompts of different lengths behind one beginning.
struct Texts : Llama {
  std::vector<int64_t> beginning{4, 70, 12, 33, 33, 9};
  std::vector<TextPrompt> prompts;

  Texts() {
    for (int64_t i = 0; i < 19; ++i) {
      prompts.push_back({"text" + std::to_string(i), {}});
      for (int64_t k = 0; k <= i % 6; ++k) prompts.back().ids.push_back(3 + (i * 31 + k * 7) % 90);
    }
  }
  std::vector<GeneratedText> texts(int64_t rows, const TextGenerationOptions& options) const {
    return generate_texts(*decoder_, beginning, prompts, options, rows);
  }
};

TEST_F(Texts, AreThoseThatEachPromptHasAlone) {
  const TextGenerationOptions options{.max_new_tokens = 40, .end_ids = {end_of_text}};
  const std::vector<GeneratedText> together = texts(16, options);
  for (size_t i = 0; i < prompts.size(); ++i) {
    std::vector<int64_t> whole = beginning;
    whole.insert(whole.end(), prompts[i].ids.begin(), prompts[i].ids.end());
    const GeneratedText alone = generate(whole, options);
    EXPECT_EQ(together[i].ids, alone.ids) << i;
    EXPECT_EQ(together[i].ended, alone.ended) << i;
    EXPECT_NEAR(together[i].log_probability, alone.log_probability, 1e-3) << i;
  }
}

TEST_F(Texts, DoNotDependOnTheBatchOrTheOrder) {
  for (const double temperature : {0.0, 1.2}) {
    const TextGenerationOptions options{
        .max_new_tokens = 30, .end_ids = {end_of_text, 7, 11}, .sampling = {.temperature = temperature}};
    const std::vector<GeneratedText> wanted = texts(16, options);
    for (const int64_t rows : {1, 2, 3, 7, 16, 33}) {
      std::reverse(prompts.begin(), prompts.end());
      std::vector<GeneratedText> got = texts(rows, options);
      std::reverse(prompts.begin(), prompts.end());
      std::reverse(got.begin(), got.end());
      for (size_t i = 0; i < prompts.size(); ++i) {
        EXPECT_EQ(got[i].ids, wanted[i].ids) << "prompt " << i << ", " << rows << " rows";
        EXPECT_EQ(got[i].log_probability, wanted[i].log_probability) << "prompt " << i << ", " << rows << " rows";
      }
    }
  }
}

TEST_F(Texts, AreWrittenWithoutABeginning) {
  beginning.clear();
  const TextGenerationOptions options{.max_new_tokens = 10};
  EXPECT_EQ(texts(4, options)[5].ids, generate(prompts[5].ids, options).ids);
}

TEST_F(Texts, StopWhereTheCallerSays) {
  const auto stopped = generate_texts(*decoder_, beginning, prompts, {.max_new_tokens = 30}, 5,
                                      [](size_t prompt, int64_t) { return prompt != 3; });
  EXPECT_EQ(stopped[3].ids.size(), 1u);
  EXPECT_FALSE(stopped[3].ended);
  EXPECT_EQ(stopped[4].ids.size(), 30u);
}

TEST_F(Texts, AreNoneWithoutPrompts) {
  prompts.clear();
  EXPECT_TRUE(texts(4, {}).empty());
}

TEST_F(Texts, RefusePromptsByName) {
  prompts[7].ids.assign(123, 5);
  expect_error(
      ErrorKind::data, [&] { texts(4, {}); }, "129 tokens, and the model reads 128");
  prompts[7].ids.clear();
  expect_error(
      ErrorKind::data, [&] { texts(4, {}); }, "the prompt 'text7' is empty");
  prompts[7].ids = {5, 96};
  expect_error(
      ErrorKind::data, [&] { texts(4, {}); }, "token 96");
  prompts[7].ids = {5};
  beginning = {-3};
  expect_error(
      ErrorKind::data, [&] { texts(4, {}); }, "token -3");
  expect_error(
      ErrorKind::config, [&] { texts(4, {.sampling = {.temperature = -1}}); }, "temperature is -1");
}

TEST_F(Llama, RefusesPromptsThatItCannotRead) {
  const TextGenerationOptions options;
  expect_error(
      ErrorKind::data, [&] { generate({}, options); }, "the prompt is empty");
  expect_error(
      ErrorKind::data, [&] { generate(std::vector<int64_t>(129, 7), options); }, "129 tokens, and the model reads 128");
  expect_error(
      ErrorKind::data,
      [&] {
        generate({5, 96}, options);
      },
      "token 96 of the prompt is not in the model's table of 96");
  expect_error(
      ErrorKind::data, [&] { generate({-1}, options); }, "token -1");
}

}  // namespace
}  // namespace microemo::infer
