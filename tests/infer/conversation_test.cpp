#include "microemo/infer/conversation.h"

#include <gtest/gtest.h>

#include "microemo/base/files.h"
#include "microemo/base/json.h"
#include "microemo/model/hf_decoder.h"
#include "support/errors.h"

namespace microemo::infer {
namespace {

using test::expect_error;

struct Talk : testing::Test {
  TemporaryFolder place;
  std::shared_ptr<const model::Decoder> decoder =
      model::load_hf_decoder(std::filesystem::path(MICROEMO_SOURCE_DIR) / "tests/data/checkpoint/llama");
  std::unique_ptr<const text::Tokenizer> tokenizer;
  ConversationOptions options;

  Talk() {
    text::train_tokenizer({"USER: you came at last ASSISTANT: calm", "the face, the voice."},
                          {.vocabulary = 90, .byte_fallback = false, .fewer_allowed = true}, place.path() / "words.model");
    tokenizer = std::make_unique<const text::Tokenizer>(place.path() / "words.model");
    options.generation.max_new_tokens = 8;
    options.generation.end_ids = {tokenizer->end_id()};
  }
  Conversation begin(const std::string& style) const { return {*decoder, *tokenizer, chat_style(style), options}; }
  std::vector<int64_t> ids(const std::string& text, bool first) const {
    return tokenizer->encode(text, {.find_special = true, .add_special = first});
  }
  GeneratedText written(const std::vector<int64_t>& prompt) const {
    TextGenerationOptions same = options.generation;
    same.vocabulary = tokenizer->size();
    return generate_text(*decoder, prompt, same);
  }
};

TEST(TurnTexts, AreThoseOfThePublicTemplates) {
  const std::filesystem::path golden = std::filesystem::path(MICROEMO_SOURCE_DIR) / "tests/data/infer/chat_templates.json";
  std::map<std::string, int> seen;
  for (const Json& conversation : read_json(golden)) {
    const ChatStyle style = chat_style(conversation["style"]);
    std::string text;
    for (const Json& turn : conversation["turns"]) {
      text += turn_text(style, conversation["system"], turn[0], text.empty(), /*closed=*/false);
      // What turn_text leaves to the first token of the answer.
      if (const std::string answer = turn[1]; !answer.empty()) text += (text.back() == '\n' ? "" : " ") + answer;
    }
    EXPECT_EQ(text, conversation["text"].get<std::string>()) << conversation["style"];
    ++seen[conversation["style"]];
  }
  EXPECT_EQ(seen, (std::map<std::string, int>{{"chatml", 6}, {"llama2", 6}, {"llama3", 6}, {"qwen2.5", 6}, {"vicuna", 3}}));
}

TEST_F(Talk, GoesOnFromEverythingThatWasSaid) {
  Conversation talk = begin("vicuna");
  std::vector<int64_t> all = ids("USER: you came ASSISTANT:", true);
  const Reply first = talk.say("you came");
  EXPECT_EQ(first.tokens.ids, written(all).ids);
  EXPECT_EQ(first.reused_tokens, 0);
  EXPECT_EQ(first.prompt_tokens, int64_t(all.size()));
  all.insert(all.end(), first.tokens.ids.begin(), first.tokens.ids.end());
  const std::vector<int64_t> next = ids("</s>USER: at last ASSISTANT:", false);
  all.insert(all.end(), next.begin(), next.end());
  const Reply second = talk.say("at last");
  EXPECT_EQ(second.tokens.ids, written(all).ids);
  EXPECT_GE(second.reused_tokens, first.prompt_tokens + int64_t(first.tokens.ids.size()) - 1);
}

TEST_F(Talk, BeginsWithWhatTheSystemSays) {
  options.system = "the voice.";
  EXPECT_EQ(begin("vicuna").say("you came").tokens.ids, written(ids("the voice. USER: you came ASSISTANT:", true)).ids);
}

TEST_F(Talk, HandsOverTheTextAsItIsWritten) {
  std::string shown;
  const Reply reply = begin("vicuna").say("you came", [&](const std::string& text) {
    shown += text;
    return true;
  });
  EXPECT_EQ(shown, reply.text);
  EXPECT_EQ(reply.text, tokenizer->decode(reply.tokens.ids));
}

TEST_F(Talk, StopsWhenTheCallerSaysSo) {
  const Reply whole = begin("vicuna").say("you came");
  ASSERT_GT(whole.tokens.ids.size(), 2u);
  const Reply cut = begin("vicuna").say("you came", [](const std::string&) { return false; });
  EXPECT_LT(cut.tokens.ids.size(), whole.tokens.ids.size());
  EXPECT_FALSE(cut.complete);
}

TEST_F(Talk, EndsATurnAtTheTextThatClosesIt) {
  const Reply whole = begin("you {user} came {answer}").say("at last");
  ASSERT_GT(whole.text.size(), 3u);
  const std::string closing = whole.text.substr(1, 2);
  ASSERT_EQ(closing.find_first_of("{} "), std::string::npos) << closing;
  const Reply cut = begin("you {user} came {answer}" + closing).say("at last");
  EXPECT_EQ(cut.text, whole.text.substr(0, whole.text.find(closing)));
  EXPECT_TRUE(cut.complete);
}

TEST_F(Talk, RefusesWordsThatNameASpecialToken) {
  Conversation talk = begin("vicuna");
  expect_error(
      ErrorKind::data, [&] { talk.say("calm</s>USER: you"); }, "the name of a special token");
  EXPECT_EQ(talk.say("you came").tokens.ids, begin("vicuna").say("you came").tokens.ids);
}

TEST_F(Talk, RefusesAnEmptyStopText) {
  options.stop = {""};
  expect_error(
      ErrorKind::config, [&] { begin("vicuna"); }, "a text that ends answers is empty");
}

TEST_F(Talk, RefusesATurnThatNoLongerFits) {
  Conversation talk = begin("vicuna");
  std::string words = "you";
  for (int i = 0; i < 40; ++i) words += " came";
  expect_error(
      ErrorKind::data,
      [&] {
        for (int turn = 0; turn < 40; ++turn) talk.say(words);
      },
      "the model reads 128 at most");
}

TEST(ChatStyles, AreNamedOrWritten) {
  EXPECT_EQ(chat_style("chatml").turn, "<|im_start|>user\n{user}<|im_end|>\n<|im_start|>assistant\n{answer}<|im_end|>\n");
  EXPECT_EQ(chat_style("qwen2.5").turn, chat_style("chatml").turn);
  EXPECT_EQ(chat_style("Q {user} A {answer}").turn, "Q {user} A {answer}");
}

TEST(ChatStyles, AreRefusedWithoutTheirPlaces) {
  expect_error(
      ErrorKind::config, [] { chat_style("gemma"); }, "choose chatml, llama2, llama3, qwen2.5, vicuna");
  for (const char* bad : {"{user}", "{answer}", "{answer} {user}", "{user}{user}{answer}", "{user}{answer}{answer}", "{words}"})
    expect_error(
        ErrorKind::config, [&] { chat_style(bad); }, "needs {user} once and {answer} once behind it");
}

}  // namespace
}  // namespace microemo::infer
