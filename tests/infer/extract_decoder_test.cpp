#include "microemo/infer/extract_decoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "microemo/base/files.h"
#include "microemo/base/json.h"
#include "microemo/checkpoint/hf_config.h"
#include "microemo/infer/conversation.h"
#include "microemo/model/hf_decoder.h"
#include "support/errors.h"

namespace microemo::infer {
namespace {

namespace fs = std::filesystem;
using test::expect_error;

/// A small decoder whose tokenizer has the tokens of Qwen's turns.
class DecoderExtractor : public testing::Test {
 protected:
  DecoderExtractor() {
    fs::copy(fs::path(MICROEMO_SOURCE_DIR) / "tests/data/checkpoint/llama", folder_);
    Json config = read_json(folder_ / "config.json");
    config["max_position_embeddings"] = 1024;
    write_json(folder_ / "config.json", config);
    text::train_tokenizer(
        {"you came at last, calm", "<|im_start|>user assistant system You are Qwen, a helpful."},
        {.vocabulary = 90, .whole_pieces = {"<|im_start|>", "<|im_end|>"}, .byte_fallback = false, .fewer_allowed = true},
        folder_ / "tokenizer.model");
  }
  std::string reply(const std::string& chat, const std::string& question) const {
    const Json body = {{"messages", {{{"role", "user"}, {"content", question}}}},
                       {"max_tokens", 12},
                       {"temperature", 0},
                       {"top_p", 1},
                       {"seed", 0}};
    eval::HttpPost post = decoder_post({folder_, chat}, [] { return true; });
    return Json::parse(post({.url = "", .key = "", .body = body.dump()}).body)["choices"][0]["message"]["content"];
  }
  /// What the decoder writes behind this text, whose question is encoded by itself, as it may hold names of special tokens.
  std::string written(const std::string& text, const std::string& question, bool turns = true) const {
    const auto decoder = model::load_hf_decoder(folder_);
    const text::Tokenizer tokenizer(folder_);
    const size_t at = text.find(question);
    std::vector<int64_t> prompt;
    const auto add = [&](const std::string& part, const text::EncodeOptions& how) {
      const std::vector<int64_t> ids = tokenizer.encode(part, how);
      prompt.insert(prompt.end(), ids.begin(), ids.end());
    };
    if (at > 0) add(text.substr(0, at), {.find_special = true, .add_special = true});
    add(question, {.find_special = false, .add_special = at == 0});
    add(text.substr(at + question.size()), {.find_special = true, .add_special = false});
    std::vector<int64_t> ends = checkpoint::read_hf_decoder_config(folder_).eos_token_id;
    if (turns) ends.push_back(tokenizer.id_of("<|im_end|>"));
    return tokenizer.decode(
        generate_text(*decoder, prompt, {.max_new_tokens = 12, .end_ids = ends, .vocabulary = tokenizer.size()}).ids);
  }

  TemporaryFolder place_;
  fs::path folder_ = place_.path() / "small";
};

TEST_F(DecoderExtractor, IsAskedAsThePublicTemplatesSay) {
  const std::string question = "you came at last";
  for (const char* chat : {"qwen2.5", "chatml"})
    EXPECT_EQ(reply(chat, question), written(turn_text(chat_style(chat), "", question, true, false), question)) << chat;
  EXPECT_EQ(reply("plain", question), written(question, question, /*turns=*/false));
  EXPECT_NE(reply("qwen2.5", question), reply("chatml", question));
}

TEST_F(DecoderExtractor, IsAskedAsQwenUnlessItIsToldOtherwise) {
  EXPECT_EQ(decoder_extractor_name({folder_}), decoder_extractor_name({folder_, "qwen2.5"}));
  EXPECT_NE(decoder_extractor_name({folder_}), decoder_extractor_name({folder_, "chatml"}));
}

TEST_F(DecoderExtractor, RefusesFormsThatItDoesNotHave) {
  for (const char* chat : {"", "qwen", "llama3", "USER: {user} ASSISTANT: {answer}"})
    expect_error(
        ErrorKind::config,
        [&] {
          decoder_extractor_name({folder_, chat});
        },
        "there is no chat form");
}

}  // namespace
}  // namespace microemo::infer
