#include "microemo/infer/text_generation.h"

#include <gtest/gtest.h>

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
