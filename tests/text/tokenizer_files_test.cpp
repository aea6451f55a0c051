#include <functional>

#include "golden_kinds.h"
#include "support/errors.h"

namespace microemo::text {
namespace {

using test::expect_error;

/// A small tokenizer.json that loads, to be broken.
Json valid_bpe() {
  return parse_json(R"({
    "added_tokens": [{"id": 5, "content": "<end>", "special": true, "normalized": false}],
    "normalizer": {"type": "NFC"},
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
    "decoder": {"type": "ByteLevel"},
    "post_processor": {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "<end>"}}],
                       "special_tokens": {"<end>": {"ids": [5]}}},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "c": 2, "ab": 3, "abc": 4}, "merges": ["a b", ["ab", "c"]]}})",
                    "valid");
}

Json valid_tekken() {
  Json vocabulary = Json::array();
  static constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t byte = 0; byte < 256; ++byte)
    vocabulary.push_back({{"rank", byte},
                          {"token_bytes", std::string{digits[byte >> 2], digits[byte << 4 & 63], '=', '='}},
                          {"token_str", nullptr}});
  vocabulary.push_back({{"rank", 256}, {"token_bytes", "YWI="}, {"token_str", "ab"}});
  const char* pattern =
      R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  return {{"config", {{"pattern", pattern}, {"default_vocab_size", 277}, {"default_num_special_tokens", 20}, {"version", "v3"}}},
          {"vocab", vocabulary}};
}

class TokenizerFile : public testing::Test {
 protected:
  std::filesystem::path file(const std::string& name, const std::string& content) const {
    write_file_atomic(folder_.path() / name, content);
    return folder_.path() / name;
  }
  Error expect_refused(const std::filesystem::path& path, const std::string& part) const {
    const Error error = expect_error(
        ErrorKind::data, [&] { Tokenizer tokenizer(path); }, part);
    EXPECT_THAT(error.place(), testing::HasSubstr(folder_.path().string())) << error.what();
    EXPECT_FALSE(error.next_step().empty()) << error.what();
    return error;
  }
  Error expect_bpe_refused(const std::function<void(Json&)>& change, const std::string& part) const {
    Json json = valid_bpe();
    change(json);
    return expect_refused(file("tokenizer.json", json.dump()), part);
  }
  Error expect_tekken_refused(const std::function<void(Json&)>& change, const std::string& part) const {
    Json json = valid_tekken();
    change(json);
    return expect_refused(file("tekken.json", json.dump()), part);
  }
  TemporaryFolder folder_;
};

TEST_F(TokenizerFile, OfByteLevelBpeIsReadWithBothFormsOfMerges) {
  const Tokenizer tokenizer(file("tokenizer.json", valid_bpe().dump()));
  EXPECT_EQ(tokenizer.encode("abc", {.add_special = true}), (std::vector<int64_t>{4, 5}));
  EXPECT_EQ(tokenizer.encode("ab<end>", {.find_special = true}), (std::vector<int64_t>{3, 5}));
}

// tokenizers 0.22.2 gives the same, and fails on two blanks.
TEST_F(TokenizerFile, WithATokenOfABlankLosesItToANeighbourThatTakesBlanks) {
  Json json = valid_bpe();
  json["added_tokens"].push_back({{"id", 6}, {"content", "X"}, {"rstrip", true}, {"normalized", false}});
  json["added_tokens"].push_back({{"id", 7}, {"content", " "}, {"lstrip", true}, {"normalized", false}});
  const Tokenizer tokenizer(file("tokenizer.json", json.dump()));
  EXPECT_EQ(tokenizer.encode("X ab", {.find_special = true}), (std::vector<int64_t>{6, 3}));
  EXPECT_EQ(tokenizer.encode("X  ab", {.find_special = true}), (std::vector<int64_t>{6, 3}));
  EXPECT_EQ(tokenizer.encode("a ab", {.find_special = true}), (std::vector<int64_t>{0, 7, 3}));
}

TEST_F(TokenizerFile, OfMetaspaceDecodesNoBlankOfTheFirstToken) {
  Json json = valid_bpe();
  json["decoder"] = {{"type", "Metaspace"}, {"replacement", "▁"}, {"prepend_scheme", "always"}};
  json["model"]["vocab"] = {{"▁▁", 0}, {"a", 1}, {"▁b", 2}, {" c", 3}};
  json["model"]["merges"] = Json::array();
  const std::filesystem::path path = file("tokenizer.json", json.dump());
  EXPECT_EQ(Tokenizer(path).decode({0, 1, 2}), "a b");
  EXPECT_EQ(Tokenizer(path).decode({3, 0}), " c  ");
  json["decoder"]["prepend_scheme"] = "never";
  EXPECT_EQ(Tokenizer(file("tokenizer.json", json.dump())).decode({0, 1, 2}), "  a b");
}

TEST_F(TokenizerFile, OfTekkenMergesWhatIsAToken) {
  const Tokenizer tokenizer(file("tekken.json", valid_tekken().dump()));
  EXPECT_EQ(tokenizer.encode("cab", {.add_special = true}), (std::vector<int64_t>{1, 20 + 'c', 276}));
  EXPECT_EQ(tokenizer.decode({1, 276, 2}), "ab");
  EXPECT_EQ(tokenizer.decode({1, 276, 19}, true), "<s>ab[TOOL_CONTENT]");
}

TEST_F(TokenizerFile, OfTekkenMayHaveATokenOfThreeMillionBytes) {
  Json json = valid_tekken();
  std::string base64;
  for (int i = 0; i < 1'000'000; ++i) base64 += "YWFh";
  json["vocab"].push_back({{"rank", 257}, {"token_bytes", base64}, {"token_str", nullptr}});
  json["config"]["default_vocab_size"] = 278;
  const Tokenizer tokenizer(file("tekken.json", json.dump()));
  EXPECT_EQ(tokenizer.encode("cab"), (std::vector<int64_t>{20 + 'c', 276}));
  EXPECT_EQ(tokenizer.decode({277}).size(), 3'000'000u);
}

TEST_F(TokenizerFile, OfTekkenTakesSpecialTokensInTextForText) {
  const Tokenizer tokenizer(file("tekken.json", valid_tekken().dump()));
  EXPECT_THAT(tokenizer.encode("<s>", {.find_special = true}), testing::Not(testing::Contains(1)));
}

TEST_F(TokenizerFile, WithoutAModelIsRefused) {
  expect_bpe_refused([](Json& json) { json.erase("model"); }, "'model' is missing");
  expect_bpe_refused([](Json& json) { json["model"].erase("vocab"); }, "'vocab' is missing");
  expect_bpe_refused([](Json& json) { json["model"].erase("merges"); }, "");
}

TEST_F(TokenizerFile, WithValuesOfAnotherTypeIsRefused) {
  expect_bpe_refused([](Json& json) { json["model"] = 3; }, "");
  expect_bpe_refused([](Json& json) { json["model"]["vocab"] = Json::array({"a"}); }, "'vocab' is no object");
  expect_bpe_refused([](Json& json) { json["model"]["vocab"]["a"] = "zero"; }, "the id of the token \"a\"");
  expect_bpe_refused([](Json& json) { json["model"]["merges"] = "a b"; }, "'merges' is");
  expect_bpe_refused([](Json& json) { json["model"]["ignore_merges"] = "yes"; }, "'ignore_merges' is");
  expect_bpe_refused([](Json& json) { json["added_tokens"][0]["content"] = 7; }, "'content' is");
  expect_bpe_refused([](Json& json) { json["added_tokens"] = "<end>"; }, "'added_tokens' is");
  expect_bpe_refused([](Json& json) { json["normalizer"] = "NFC"; }, "'type'");
  expect_bpe_refused([](Json& json) { json["post_processor"]["single"] = 1; }, "'single' is");
}

TEST_F(TokenizerFile, WithIdsThatCannotBeIsRefused) {
  expect_bpe_refused([](Json& json) { json["model"]["vocab"]["a"] = 1; }, "have the same id, 1");
  expect_bpe_refused([](Json& json) { json["model"]["vocab"]["a"] = -1; }, "has the id -1");
  expect_bpe_refused([](Json& json) { json["model"]["vocab"]["a"] = int64_t(1) << 40; }, "ids go from 0 to");
  expect_bpe_refused([](Json& json) { json["added_tokens"][0]["id"] = 2; }, "have the same id, 2");
  expect_bpe_refused([](Json& json) { json["added_tokens"][0]["content"] = "ab"; }, "has two ids");
  expect_bpe_refused([](Json& json) { json["added_tokens"][0]["content"] = ""; }, "is empty");
  expect_bpe_refused([](Json& json) { json["post_processor"]["special_tokens"]["<end>"]["ids"] = {99}; }, "adds token 99");
}

TEST_F(TokenizerFile, WithMergesOfUnknownTokensIsRefused) {
  expect_bpe_refused([](Json& json) { json["model"]["merges"][0] = "a z"; }, "needs the token \"z\"");
  expect_bpe_refused([](Json& json) { json["model"]["merges"][0] = "b c"; }, "needs the token \"bc\"");
  for (const Json& merge :
       {Json("ab"), Json(" b"), Json("a "), Json(3), Json::array({"a"}), Json::array({"a", 1}), Json::array({"a", "b", "c"})})
    expect_bpe_refused([&](Json& json) { json["model"]["merges"][0] = merge; }, "not two tokens");
}

TEST_F(TokenizerFile, ThatNeedsWhatIsNotSupportedNamesWhatIs) {
  const auto names = [](const Error& error, const std::string& known) { EXPECT_THAT(error.what(), testing::HasSubstr(known)); };
  names(expect_bpe_refused([](Json& json) { json["normalizer"]["type"] = "Precompiled"; }, "\"Precompiled\" is not supported"),
        "NFC, NFD");
  names(expect_bpe_refused([](Json& json) { json["pre_tokenizer"]["type"] = "Digits"; }, "\"Digits\" is not supported"),
        "ByteLevel");
  names(expect_bpe_refused([](Json& json) { json["decoder"]["type"] = "CTC"; }, "\"CTC\" is not supported"), "WordPiece");
  names(expect_bpe_refused([](Json& json) { json["post_processor"]["type"] = "Roberta"; }, "\"Roberta\" is not supported"),
        "Template");
  names(expect_bpe_refused([](Json& json) { json["model"]["type"] = "Unigram"; }, "\"Unigram\" is not supported"),
        "BPE, WordPiece");
  expect_bpe_refused([](Json& json) { json["model"]["end_of_word_suffix"] = "</w>"; }, "end_of_word_suffix");
}

TEST_F(TokenizerFile, WithAnotherRegularExpressionNamesThoseThatAreKnown) {
  const Error error = expect_bpe_refused(
      [](Json& json) {
        json["pre_tokenizer"] = {
            {"type", "Split"}, {"pattern", {{"Regex", "\\w+"}}}, {"behavior", "Isolated"}, {"invert", false}};
      },
      "\"\\w+\" is not supported");
  EXPECT_THAT(error.next_step(), testing::HasSubstr("\\p{N}{1,3}"));
}

TEST_F(TokenizerFile, ThatIsBrokenJsonNamesThePlace) {
  const std::string text = valid_bpe().dump(1);
  for (size_t k = 1; k < 16; ++k) expect_refused(file("tokenizer.json", text.substr(0, text.size() * k / 16)), "broken JSON");
  expect_refused(file("tokenizer.json", R"({"model": {"vocab": {"a": 0, "a": 1}}})"), "a second time");
}

TEST_F(TokenizerFile, OfTekkenThatIsMalformedIsRefused) {
  expect_tekken_refused([](Json& json) { json["config"]["pattern"] = "\\w+"; }, "pattern of this file is not supported");
  expect_tekken_refused([](Json& json) { json["config"].erase("default_vocab_size"); }, "'default_vocab_size' is missing");
  expect_tekken_refused([](Json& json) { json["config"]["default_vocab_size"] = 278; }, "'default_vocab_size' is 278");
  expect_tekken_refused([](Json& json) { json["config"]["default_num_special_tokens"] = -1; }, "is -1");
  expect_tekken_refused([](Json& json) { json["vocab"][5]["rank"] = 6; }, "place 5 has the rank 6");
  expect_tekken_refused([](Json& json) { json["vocab"][5]["token_bytes"] = "BA=="; }, "the bytes of token 5");
  expect_tekken_refused([](Json& json) { json["vocab"][256]["token_bytes"] = "?"; }, "the bytes of token 256");
  expect_tekken_refused([](Json& json) { json["vocab"][256]["token_bytes"] = "YQ=="; }, "stands here a second time");
  expect_tekken_refused([](Json& json) { json["vocab"][256].erase("token_bytes"); }, "'token_bytes' is missing");
  expect_tekken_refused([](Json& json) { json["vocab"] = 1; }, "'vocab' is");
  expect_tekken_refused(
      [](Json& json) {
        json["special_tokens"] = {{{"rank", 1}, {"token_str", "<s>"}}};
      },
      "special token 0 has the rank 1");
}

TEST_F(TokenizerFile, OfASentencePieceModelThatIsCutIsRefused) {
  const std::string model = read_file(text_data / "tokenizer.model");
  for (size_t k = 0; k < 32; ++k)
    expect_refused(file("tokenizer.model", model.substr(0, model.size() * k / 32)), "SentencePiece model");
}

TEST_F(TokenizerFile, OfWordPieceThatIsMalformedIsRefused) {
  expect_refused(file("vocab.txt", ""), "the vocabulary is empty");
  expect_refused(file("vocab.txt", "[UNK]\n[CLS]\n[SEP]\na\na\n"), "\"a\" stands here a second time");
  expect_refused(file("vocab.txt", "[CLS]\n[SEP]\na\n"), "no piece \"[UNK]\"");
  expect_refused(file("vocab.txt", "[UNK]\n[CLS]\n[SEP]\n\xFF\n"), "not UTF-8");
}

TEST_F(TokenizerFile, ThatIsMissingIsNamed) { expect_refused(folder_.path() / "no.json", "no.json"); }

TEST_F(TokenizerFile, ThatIsTooLargeIsRefusedBeforeItIsRead) {
  const auto path = file("tokenizer.json", "");
  std::filesystem::resize_file(path, (uintmax_t(256) << 20) + 1);
  expect_refused(path, "too many for a tokenizer");
}

TEST_F(TokenizerFile, IsLookedForInAFolderByName) {
  const Error error = expect_refused(folder_.path(), "no tokenizer in this folder");
  for (const char* name : {"tokenizer.model", "tokenizer.json", "tekken.json", "vocab.txt"})
    EXPECT_THAT(error.message(), testing::HasSubstr(name));
}

TEST_F(TokenizerFile, WithABrokenConfigurationBesideItIsRefused) {
  std::filesystem::copy(text_data / "tokenizer.model", folder_.path());
  const auto refused = [&](const std::string& name, const std::string& content, const std::string& part) {
    file(name, content);
    expect_refused(folder_.path(), part);
    std::filesystem::remove(folder_.path() / name);
  };
  refused("tokenizer_config.json", "{", "broken JSON");
  refused("tokenizer_config.json", R"({"legacy": "yes"})", "'legacy' is");
  refused("tokenizer_config.json", R"({"bos_token": 1})", "'bos_token' is 1");
  refused("tokenizer_config.json", R"({"added_tokens_decoder": {"x": {"content": "<a>"}}})",
          "'x' in added_tokens_decoder is no id");
  refused("tokenizer_config.json", R"({"added_tokens_decoder": {"-4": {"content": "<a>"}}})", "is no id");
  refused("tokenizer_config.json", R"({"added_tokens_decoder": {"99999999999": {"content": "<a>"}}})", "has the id 99999999999");
  refused("tokenizer_config.json", R"({"added_tokens_decoder": {"400": {"lstrip": true}}})", "'content' is missing");
  refused("added_tokens.json", R"({"<a>": 400, "<b>": 400})", "have the same id, 400");
  refused("added_tokens.json", R"(["<a>"])", "no object of tokens and ids");
}

}  // namespace
}  // namespace microemo::text
