#include "microemo/text/tokenizer.h"

#include "microemo/base/files.h"
#include "microemo/base/hash.h"
#include "microemo/base/json.h"
#include "support/errors.h"

namespace microemo::text {
namespace {

using test::expect_error;

// tests/data/text is made by tests/reference/tokenizer.py with the public Python package.
const std::filesystem::path golden_folder = std::filesystem::path(MICROEMO_SOURCE_DIR) / "tests/data/text";

Tokenizer golden_tokenizer() { return Tokenizer(golden_folder / "tokenizer.model"); }
const Json& golden() {
  static const Json values = read_json(golden_folder / "tokenizer.json");
  return values;
}

std::vector<std::string> golden_sentences() {
  std::vector<std::string> sentences;
  const std::string text = read_file(golden_folder / "sentences.txt");
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = text.find('\n', begin);
    sentences.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return sentences;
}

TokenizerTraining golden_training() {
  return {.vocabulary = 400, .whole_pieces = golden()["whole_pieces"].get<std::vector<std::string>>()};
}

TEST(Tokenizer, EncodesAsThePythonPackageDoes) {
  const Tokenizer tokenizer = golden_tokenizer();
  for (const Json& encoding : golden()["encodings"])
    EXPECT_EQ(tokenizer.encode(encoding["text"]), encoding["ids"].get<std::vector<int64_t>>()) << encoding["text"];
}

TEST(Tokenizer, DecodesAsThePythonPackageDoes) {
  const Tokenizer tokenizer = golden_tokenizer();
  for (const Json& encoding : golden()["encodings"])
    EXPECT_EQ(tokenizer.decode(encoding["ids"].get<std::vector<int64_t>>()), encoding["decoded"].get<std::string>());
}

TEST(Tokenizer, GivesBackEveryTextWithUnseenCharactersToo) {
  const Tokenizer tokenizer = golden_tokenizer();
  for (const Json& encoding : golden()["encodings"])
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(encoding["text"])), encoding["text"]);
}

TEST(Tokenizer, KnowsItsPieces) {
  const Tokenizer tokenizer = golden_tokenizer();
  const Json pieces = golden()["pieces"];
  ASSERT_EQ(tokenizer.size(), int64_t(pieces.size()));
  for (int64_t id = 0; id < tokenizer.size(); ++id) {
    EXPECT_EQ(tokenizer.piece(id), pieces[size_t(id)].get<std::string>());
    EXPECT_EQ(tokenizer.id_of(tokenizer.piece(id)), id);
  }
}

TEST(Tokenizer, KnowsItsSpecialTokens) {
  const Tokenizer tokenizer = golden_tokenizer();
  EXPECT_EQ(tokenizer.unknown_id(), golden()["unknown"].get<int64_t>());
  EXPECT_EQ(tokenizer.begin_id(), golden()["begin"].get<int64_t>());
  EXPECT_EQ(tokenizer.end_id(), golden()["end"].get<int64_t>());
}

TEST(Tokenizer, AddsNothingToAnEmptyText) { EXPECT_TRUE(golden_tokenizer().encode("").empty()); }

TEST(Tokenizer, BeginAndEndTokensDecodeToNothing) {
  const Tokenizer tokenizer = golden_tokenizer();
  auto ids = tokenizer.encode("The meeting was strange");
  ids.insert(ids.begin(), tokenizer.begin_id());
  ids.push_back(tokenizer.end_id());
  EXPECT_EQ(tokenizer.decode(ids), "The meeting was strange");
}

/// normalizer_spec (3) {remove_extra_whitespaces (4): true} behind a model is merged into it.
TEST(Tokenizer, OfAModelThatTakesExtraBlanksOutDecodesNoBlankAtTheStart) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "tokenizer.model";
  write_file_atomic(path, read_file(golden_folder / "tokenizer.model") + std::string("\x1A\x02\x20\x01", 4));
  const Tokenizer kept = golden_tokenizer(), taken(path);
  const int64_t blank = kept.id_of("▁");
  std::vector<int64_t> ids = kept.encode("strange");
  ids.insert(ids.begin(), {blank, blank});
  EXPECT_EQ(kept.decode(ids), "  strange");
  EXPECT_EQ(taken.decode(ids), "strange");
  EXPECT_EQ(taken.decode({blank, blank, blank}), "");
}

TEST(Tokenizer, HashIsOfTheFile) { EXPECT_EQ(golden_tokenizer().hash(), sha256_file(golden_folder / "tokenizer.model")); }

TEST(Tokenizer, RefusesAMissingFile) {
  expect_error(
      ErrorKind::data, [] { Tokenizer("no/such.model"); }, "no/such.model");
}

TEST(Tokenizer, RefusesFilesThatAreNoModelAndStaysSilent) {
  const TemporaryFolder folder;
  const std::string model = read_file(golden_folder / "tokenizer.model");
  const std::vector<std::string> contents = {"",
                                             "this is text",
                                             std::string(1000, '\0'),
                                             std::string(1000, '\xff'),
                                             model.substr(0, 100),
                                             model.substr(0, model.size() - 3)};
  testing::internal::CaptureStderr();
  for (const std::string& content : contents) {
    write_file_atomic(folder.path() / "bad.model", content);
    const Error error = expect_error(
        ErrorKind::data, [&] { Tokenizer(folder.path() / "bad.model"); }, "not a SentencePiece model");
    EXPECT_THAT(error.place(), testing::HasSubstr("bad.model"));
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST(Tokenizer, RefusesAModelWithoutAnEndToken) {
  expect_error(
      ErrorKind::data, [] { Tokenizer(golden_folder / "no_end.model"); }, "has no end token");
}

TEST(Tokenizer, RefusesIdsOutsideTheVocabulary) {
  const Tokenizer tokenizer = golden_tokenizer();
  for (const int64_t id : {int64_t(-1), tokenizer.size(), int64_t(1) << 40}) {
    expect_error(
        ErrorKind::data, [&] { tokenizer.decode({id}); }, "not in the vocabulary of 400");
    expect_error(
        ErrorKind::data, [&] { tokenizer.piece(id); }, "not in the vocabulary of 400");
  }
}

TEST(Tokenizer, RefusesAPieceThatIsNotThere) {
  expect_error(
      ErrorKind::data, [] { golden_tokenizer().id_of("<face>"); }, "no piece \"<face>\"");
}

TEST(TokenizerTraining, FindsThePiecesThatThePythonPackageFinds) {
  const TemporaryFolder folder;
  train_tokenizer(golden_sentences(), golden_training(), folder.path() / "own.model");
  const Tokenizer tokenizer(folder.path() / "own.model");
  std::vector<std::string> pieces;
  for (int64_t id = 0; id < tokenizer.size(); ++id) pieces.push_back(tokenizer.piece(id));
  EXPECT_EQ(pieces, golden()["pieces"].get<std::vector<std::string>>());
}

TEST(TokenizerTraining, GivesTheSameBytesEachTime) {
  const TemporaryFolder folder;
  train_tokenizer(golden_sentences(), golden_training(), folder.path() / "one.model");
  train_tokenizer(golden_sentences(), golden_training(), folder.path() / "two.model");
  EXPECT_EQ(read_file(folder.path() / "one.model"), read_file(folder.path() / "two.model"));
}

TEST(TokenizerTraining, NeverSplitsWholePieces) {
  const TemporaryFolder folder;
  train_tokenizer(golden_sentences(), golden_training(), folder.path() / "own.model");
  const Tokenizer tokenizer(folder.path() / "own.model");
  for (const std::string piece : {"<clip>", "brow_up", "a,b"})
    EXPECT_THAT(tokenizer.encode("x" + piece + "y"), testing::Contains(tokenizer.id_of(piece)));
  EXPECT_THAT(tokenizer.encode("in two words."), testing::Contains(tokenizer.id_of("two▁words")));
}

TEST(TokenizerTraining, WithoutByteFallbackUnseenCharactersAreUnknown) {
  const TemporaryFolder folder;
  train_tokenizer(golden_sentences(), {.vocabulary = 150, .byte_fallback = false}, folder.path() / "small.model");
  const Tokenizer tokenizer(folder.path() / "small.model");
  EXPECT_EQ(tokenizer.size(), 150);
  EXPECT_THAT(tokenizer.encode("漢"), testing::Contains(tokenizer.unknown_id()));
}

TEST(TokenizerTraining, ReadsLongTextsAndTextsOfSeveralLines) {
  const TemporaryFolder folder;
  std::string text;
  for (const std::string& sentence : golden_sentences()) text += sentence + (text.size() % 2 == 0 ? "\n" : "\r\n");
  std::string long_text = text;
  std::erase_if(long_text, [](char c) { return c == '\n' || c == '\r'; });
  train_tokenizer({text, long_text + " zebra quartz"}, {.vocabulary = 330}, folder.path() / "m.model");
  EXPECT_NO_THROW(Tokenizer(folder.path() / "m.model").id_of("z"));
}

TEST(TokenizerTraining, IsSilent) {
  const TemporaryFolder folder;
  testing::internal::CaptureStderr();
  testing::internal::CaptureStdout();
  train_tokenizer(golden_sentences(), golden_training(), folder.path() / "own.model");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
}

TEST(TokenizerTraining, SaysTheLargestPossibleVocabulary) {
  const TemporaryFolder folder;
  const Error error = expect_error(
      ErrorKind::config, [&] { train_tokenizer(golden_sentences(), {.vocabulary = 5000}, folder.path() / "m.model"); },
      "too large for this text");
  const std::string message = error.message();
  const int64_t largest = std::stoll(message.substr(message.rfind(' ')));
  train_tokenizer(golden_sentences(), {.vocabulary = largest}, folder.path() / "m.model");
  EXPECT_EQ(Tokenizer(folder.path() / "m.model").size(), largest);
  expect_error(
      ErrorKind::config, [&] { train_tokenizer(golden_sentences(), {.vocabulary = largest + 1}, folder.path() / "n.model"); },
      "too large");
}

TEST(TokenizerTraining, TakesWhatTheTextHasWhenFewerPiecesAreAllowed) {
  const TemporaryFolder folder;
  train_tokenizer(golden_sentences(), {.vocabulary = 5000, .fewer_allowed = true}, folder.path() / "m.model");
  const int64_t largest = Tokenizer(folder.path() / "m.model").size();
  EXPECT_LT(largest, 5000);
  EXPECT_NO_THROW(train_tokenizer(golden_sentences(), {.vocabulary = largest}, folder.path() / "m.model"));
  expect_error(
      ErrorKind::config, [&] { train_tokenizer(golden_sentences(), {.vocabulary = largest + 1}, folder.path() / "m.model"); },
      "too large");
}

TEST(TokenizerTraining, KeepsTheAskedVocabularyWhenFewerAreAllowedAndTheTextHasEnough) {
  const TemporaryFolder folder;
  train_tokenizer(golden_sentences(), {.vocabulary = 400, .fewer_allowed = true}, folder.path() / "m.model");
  EXPECT_EQ(Tokenizer(folder.path() / "m.model").size(), 400);
}

TEST(TokenizerTraining, RefusesAVocabularySmallerThanTheCharacters) {
  const TemporaryFolder folder;
  const auto train = [&](int64_t vocabulary) {
    train_tokenizer(golden_sentences(), {.vocabulary = vocabulary}, folder.path() / "m.model");
  };
  expect_error(
      ErrorKind::config, [&] { train(100); }, "too small");
  expect_error(
      ErrorKind::config, [&] { train(0); }, "vocabulary of 0");
  expect_error(
      ErrorKind::config, [&] { train(-5); }, "vocabulary of -5");
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "m.model"));
}

TEST(TokenizerTraining, RefusesNoText) {
  const TemporaryFolder folder;
  for (const std::vector<std::string>& sentences : {std::vector<std::string>{}, {""}, {"\n", "\r\n"}})
    expect_error(
        ErrorKind::data, [&] { train_tokenizer(sentences, {}, folder.path() / "m.model"); }, "no text");
}

TEST(TokenizerTraining, RefusesTextThatIsNotUtf8) {
  const TemporaryFolder folder;
  expect_error(
      ErrorKind::data, [&] { train_tokenizer({"na\xEFve"}, {}, folder.path() / "m.model"); }, "not UTF-8");
}

TEST(TokenizerTraining, RefusesWholePiecesThatCannotBe) {
  const TemporaryFolder folder;
  for (const std::string piece : {"", "a\"b", "a\tb", "\xff"})
    expect_error(
        ErrorKind::config,
        [&] { train_tokenizer(golden_sentences(), {.vocabulary = 400, .whole_pieces = {piece}}, folder.path() / "m.model"); },
        "cannot be a whole piece");
}

TEST(TokenizerTraining, AFolderThatCannotBeWrittenIsAnEnvironmentError) {
  const TemporaryFolder folder;
  write_file_atomic(folder.path() / "file", "x");
  expect_error(
      ErrorKind::environment, [&] { train_tokenizer(golden_sentences(), golden_training(), folder.path() / "file" / "m.model"); },
      "file");
}

}  // namespace
}  // namespace microemo::text
