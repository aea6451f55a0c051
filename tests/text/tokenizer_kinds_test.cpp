#include <map>
#include <thread>

#include "golden_kinds.h"
#include "support/errors.h"

namespace microemo::text {
namespace {

using test::expect_error;

Tokenizer qwen2() { return Tokenizer(text_data / "kinds/qwen2.json"); }

std::vector<int64_t> joined(const std::vector<std::vector<int64_t>>& lists) {
  std::vector<int64_t> all;
  for (const auto& list : lists) all.insert(all.end(), list.begin(), list.end());
  return all;
}

TEST(TokenizerKinds, GiveTheIdsOfThePublicLibraries) {
  const GoldenKinds golden = golden_kinds();
  ASSERT_EQ(golden.kinds.size(), 11u);
  for (const GoldenKind& kind : golden.kinds) {
    const Tokenizer tokenizer = kind.open();
    const auto wanted = kind.ids("ids");
    ASSERT_EQ(wanted.size(), golden.texts.size());
    for (size_t i = 0; i < wanted.size(); ++i)
      EXPECT_EQ(tokenizer.encode(golden.texts[i], kind.reading()), wanted[i]) << kind.name() << ": " << golden.texts[i];
  }
}

/// As TimeChat and Video-LLaMA tokenize, which transformers calls legacy.
TEST(ParityChecklistOfTokenizers, TextBehindASpecialTokenHasAPrefixUnlessAFolderSaysThatItIsNotLegacy) {
  std::map<std::string, std::vector<int64_t>> found;
  for (const GoldenKind& kind : golden_kinds().kinds)
    if (kind.name().find("llama") != std::string::npos)
      found[kind.name()] = kind.open().encode("so</s>it is", {.find_special = true});
  const std::vector<int64_t>&with = found.at("llama llama --legacy"), &without = found.at("llama llama --no-legacy");
  EXPECT_EQ(found.at("folder llama-older"), with);  // says nothing
  EXPECT_EQ(found.at("folder llama-newer"), without);
  EXPECT_NE(with, without);
  const Tokenizer tokenizer(text_data / "tokenizer.model");
  EXPECT_EQ(with, joined({tokenizer.encode("so"), {tokenizer.end_id()}, tokenizer.encode("it is")}));
}

TEST(TokenizerKinds, PutBeginAndEndTokensAroundAsThePublicLibrariesDo) {
  const GoldenKinds golden = golden_kinds();
  size_t checked = 0;
  for (const GoldenKind& kind : golden.kinds) {
    if (!kind.values.contains("with_special")) continue;
    const Tokenizer tokenizer = kind.open();
    EncodeOptions options = kind.reading();
    options.add_special = true;
    const auto wanted = kind.ids("with_special");
    for (size_t i = 0; i < wanted.size(); ++i, ++checked)
      EXPECT_EQ(tokenizer.encode(golden.texts[i], options), wanted[i]) << kind.name() << ": " << golden.texts[i];
  }
  EXPECT_EQ(checked, 100u);
}

TEST(TokenizerKinds, DecodeToTheTextsOfThePublicLibraries) {
  for (const GoldenKind& kind : golden_kinds().kinds) {
    const Tokenizer tokenizer = kind.open();
    auto ids = kind.ids("ids");
    for (auto& drawn : kind.ids("drawn")) ids.push_back(drawn);
    const auto wanted = kind.texts("decoded");
    for (size_t i = 0; i < wanted.size(); ++i) EXPECT_EQ(tokenizer.decode(ids[i], true), wanted[i]) << kind.name();
  }
}

TEST(TokenizerKinds, LeaveSpecialTokensOutAsThePublicLibrariesDo) {
  for (const GoldenKind& kind : golden_kinds().kinds) {
    const Tokenizer tokenizer = kind.open();
    const auto drawn = kind.ids("drawn");
    const auto wanted = kind.texts("decoded_skipping");
    for (size_t i = 0; i < wanted.size(); ++i) EXPECT_EQ(tokenizer.decode(drawn[i]), wanted[i]) << kind.name();
  }
}

TEST(TokenizerKinds, KnowTheirPieces) {
  for (const GoldenKind& kind : golden_kinds().kinds) {
    const Tokenizer tokenizer = kind.open();
    for (const int64_t id : {int64_t(0), int64_t(300), tokenizer.size() - 1})
      EXPECT_EQ(tokenizer.id_of(tokenizer.piece(id)), id) << kind.name();
  }
}

TEST(TokenizerKinds, GiveSeveralThreadsTheSameIds) {
  const GoldenKinds golden = golden_kinds();
  const Tokenizer tokenizer = golden.kinds[0].open();
  const auto all = [&] {
    std::vector<std::vector<int64_t>> ids;
    for (const std::string& text : golden.texts) ids.push_back(tokenizer.encode(text, {.find_special = true}));
    return joined(ids);
  };
  std::vector<int64_t> first, second;
  std::thread other([&] { first = all(); });
  second = all();
  other.join();
  EXPECT_EQ(first, joined(golden.kinds[0].ids("ids")));
  EXPECT_EQ(second, first);
}

TEST(SpecialTokensInText, AreTextUnlessTheyAreLookedFor) {
  const Tokenizer tokenizer = qwen2();
  const int64_t end = tokenizer.id_of("<|im_end|>");
  const std::string text = "Yes.<|im_end|>";
  EXPECT_THAT(tokenizer.encode(text, {.find_special = true}), testing::Contains(end));
  EXPECT_THAT(tokenizer.encode(text), testing::Not(testing::Contains(end)));
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
}

TEST(SpecialTokensInText, AreTextToALlamaFolderToo) {
  for (const GoldenKind& kind : golden_kinds().kinds) {
    if (kind.name() != "folder llama-newer" && kind.name() != "folder llama-older") continue;
    const Tokenizer tokenizer = kind.open();
    const auto ids = tokenizer.encode("so </s><ImageHere> it is");
    for (const char* special : {"</s>", "<ImageHere>"})
      EXPECT_THAT(ids, testing::Not(testing::Contains(tokenizer.id_of(special))));
    EXPECT_EQ(tokenizer.decode(ids), "so </s><ImageHere> it is");
  }
}

TEST(SpecialTokensInText, AreWholeOrNothing) {
  const Tokenizer tokenizer = qwen2();
  const int64_t end = tokenizer.id_of("<|im_end|>");
  for (const char* text : {"<|im_end|", "|im_end|>", "<|im_end |>", "<|IM_END|>"})
    EXPECT_THAT(tokenizer.encode(text, {.find_special = true}), testing::Not(testing::Contains(end))) << text;
}

// "<word>" must be a single word and is followed by a tab, "<left>" takes the tab away: LlamaTokenizer then reads the rest as the
// token.
TEST(SpecialTokensInText, CountAfterWhatTheirNeighboursTakeAway) {
  for (const GoldenKind& kind : golden_kinds().kinds) {
    if (kind.name() != "folder llama-newer") continue;
    const Tokenizer tokenizer = kind.open();
    EXPECT_THAT(tokenizer.encode("a <word>\t<left>", {.find_special = true}), testing::Contains(tokenizer.id_of("<word>")));
    EXPECT_THAT(tokenizer.encode("a <word>\tb", {.find_special = true}),
                testing::Not(testing::Contains(tokenizer.id_of("<word>"))));
  }
}

TEST(BrokenUtf8, IsReadAsPythonReadsItWithReplacements) {
  const Tokenizer tokenizer = qwen2();
  const std::vector<std::pair<std::string, std::string>> cases = {{"a\x80z", "a\uFFFDz"},
                                                                  {"\xE2\x82", "\uFFFD"},
                                                                  {"\xE2\x82z", "\uFFFDz"},
                                                                  {"\xF0\x9F\x99\xE2\x82\xAC", "\uFFFD€"},
                                                                  {"\xED\xA0\x80", "\uFFFD\uFFFD\uFFFD"},
                                                                  {"\xC0\xAF", "\uFFFD\uFFFD"},
                                                                  {"\xF5z", "\uFFFDz"}};
  for (const auto& [broken, read] : cases) EXPECT_EQ(tokenizer.encode(broken), tokenizer.encode(read));
}

TEST(Folder, NamesTheTokensOfItsConfiguration) {
  for (const GoldenKind& kind : golden_kinds().kinds) {
    if (kind.name() != "folder llama-newer") continue;
    const Tokenizer tokenizer = kind.open();
    EXPECT_EQ(tokenizer.piece(tokenizer.begin_id()), "<s>");
    EXPECT_EQ(tokenizer.piece(tokenizer.end_id()), "</s>");
    EXPECT_EQ(tokenizer.id_of("<ImageHere>"), 400);
    EXPECT_EQ(tokenizer.size(), 404);
  }
}

TEST(Folder, TakesTheSentencePieceModelBeforeTheOthers) {
  const TemporaryFolder folder;
  std::filesystem::copy(text_data / "kinds/qwen2.json", folder.path() / "tokenizer.json");
  EXPECT_EQ(Tokenizer(folder.path()).size(), qwen2().size());
  std::filesystem::copy(text_data / "tokenizer.model", folder.path());
  EXPECT_EQ(Tokenizer(folder.path()).size(), 400);
}

TEST(Folder, AddsTokensThatOnlyItsConfigurationNames) {
  const TemporaryFolder folder;
  std::filesystem::copy(text_data / "kinds/qwen2.json", folder.path() / "tokenizer.json");
  const int64_t next = qwen2().size();
  write_json(folder.path() / "tokenizer_config.json",
             Json{{"eos_token", "<|im_end|>"},
                  {"added_tokens_decoder", {{std::to_string(next), {{"content", "<FaceHere>"}, {"special", true}}}}}});
  const Tokenizer tokenizer(folder.path());
  EXPECT_EQ(tokenizer.encode("<FaceHere>", {.find_special = true}), std::vector<int64_t>{next});
  EXPECT_EQ(tokenizer.end_id(), tokenizer.id_of("<|im_end|>"));
  expect_error(
      ErrorKind::data, [&] { tokenizer.begin_id(); }, "has no begin token");
}

TEST(WordPieceWords, OfMoreThanAHundredCharactersAreUnknown) {
  const Tokenizer tokenizer(text_data / "kinds/bert");
  EXPECT_GT(tokenizer.encode(std::string(100, 'a')).size(), 1u);
  EXPECT_EQ(tokenizer.encode(std::string(101, 'a')), std::vector<int64_t>{tokenizer.unknown_id()});
}

TEST(TextStream, GivesPutTogetherTheDecodedText) {
  for (const bool keep : {true, false})
    for (const GoldenKind& kind : golden_kinds().kinds) {
      const Tokenizer tokenizer = kind.open();
      TextStream stream(tokenizer, keep);
      for (const auto& list : {kind.ids("ids"), kind.ids("drawn")})
        for (const auto& ids : list) {
          std::string text;
          for (const int64_t id : ids) text += stream.add(id);
          EXPECT_EQ(text + stream.finish(), tokenizer.decode(ids, keep)) << kind.name();
        }
    }
}

TEST(TextStream, NeverGivesAPartOfACharacter) {
  const Tokenizer tokenizer = qwen2();
  TextStream stream(tokenizer);
  const std::vector<int64_t> ids = tokenizer.encode("🫠");
  ASSERT_GT(ids.size(), 1u);
  for (size_t i = 0; i + 1 < ids.size(); ++i) EXPECT_EQ(stream.add(ids[i]), "");
  EXPECT_EQ(stream.add(ids.back()), "🫠");
  EXPECT_EQ(stream.finish(), "");
}

TEST(TextStream, ShowsACharacterThatIsNeverFinished) {
  const Tokenizer tokenizer = qwen2();
  TextStream stream(tokenizer);
  EXPECT_EQ(stream.add(tokenizer.encode("🫠")[0]), "");
  EXPECT_EQ(stream.finish(), "\uFFFD");
  EXPECT_EQ(stream.finish(), "");
}

TEST(TextStream, RefusesIdsOutsideTheVocabulary) {
  const Tokenizer tokenizer = qwen2();
  TextStream stream(tokenizer);
  for (const int64_t id : {int64_t(-1), tokenizer.size()})
    expect_error(
        ErrorKind::data, [&] { stream.add(id); }, "not in the vocabulary");
}

}  // namespace
}  // namespace microemo::text
