#include "microemo/infer/answer_text.h"

#include <gtest/gtest.h>

#include "microemo/base/files.h"
#include "support/errors.h"

namespace microemo::infer {
namespace {

/// A tokenizer of single characters and bytes, so that every text has many tokens.
struct Written : testing::Test {
  TemporaryFolder place;
  std::unique_ptr<const text::Tokenizer> tokenizer;

  Written() {
    text::train_tokenizer({"the voice is flat", "###"}, {.vocabulary = 280, .fewer_allowed = true}, place.path() / "words.model");
    tokenizer = std::make_unique<const text::Tokenizer>(place.path() / "words.model");
  }
  /// The pieces that come out, those of finish() last, and the text at the end.
  struct Result {
    std::vector<std::string> pieces;
    std::string text;
    bool ended = false;
    size_t tokens = 0;  ///< taken before the end
  };
  Result write(const std::string& words, const EndTexts& ends) const {
    AnswerText text(*tokenizer, ends);
    Result result;
    for (const int64_t id : tokenizer->encode(words)) {
      result.pieces.push_back(text.add(id));
      ++result.tokens;
      if (text.ended()) break;
    }
    result.pieces.push_back(text.finish());
    result.text = text.text();
    result.ended = text.ended();
    std::string joined;
    for (const std::string& piece : result.pieces) joined += piece;
    EXPECT_EQ(joined, result.text);
    return result;
  }
};

TEST_F(Written, IsTheWholeTextWithoutAnEnd) {
  const Result all = write("the face is calm ", {});
  EXPECT_EQ(all.text, tokenizer->decode(tokenizer->encode("the face is calm ")));
  EXPECT_FALSE(all.ended);
}

TEST_F(Written, EndsAtAStopTextOfSeveralTokens) {
  const Result all = write("calm, then END of it", {.stop = {"END"}});
  EXPECT_EQ(all.text, "calm, then ");
  EXPECT_TRUE(all.ended);
  EXPECT_LT(all.tokens, tokenizer->encode("calm, then END of it").size());
}

TEST_F(Written, EndsAtTheFirstOfSeveralStopTexts) {
  EXPECT_EQ(write("one two three", {.stop = {"three", "two", "wo t"}}).text, "one ");
}

TEST_F(Written, EndsAtAStopTextAtItsBeginning) {
  const Result all = write("END", {.stop = {"END"}});
  EXPECT_EQ(all.text, "");
  EXPECT_TRUE(all.ended);
}

TEST_F(Written, ShowsNothingThatMayBelongToAStopText) {
  const Result all = write("a EN b ENDS", {.stop = {"END"}});
  EXPECT_EQ(all.text, "a EN b ");
  std::string shown;
  for (const std::string& piece : all.pieces) {
    shown += piece;
    EXPECT_EQ(all.text.compare(0, shown.size(), shown), 0) << shown;
  }
}

TEST_F(Written, FindsAStopTextThatBeginsInsideItsOwnBeginning) {
  EXPECT_EQ(write("x aab y", {.stop = {"aab"}}).text, "x ");
  EXPECT_EQ(write("x aaab y", {.stop = {"aab"}}).text, "x a");
}

TEST_F(Written, GivesBackWhatWasHeldBackWhenNothingFollows) { EXPECT_EQ(write("calm EN", {.stop = {"END"}}).text, "calm EN"); }

TEST_F(Written, NeverGivesAPartOfACharacter) {
  const Result all = write("愤怒 é", {.stop = {"停止"}});
  EXPECT_EQ(all.text, "愤怒 é");
  for (const std::string& piece : all.pieces) {
    const bool starts_inside = !piece.empty() && (static_cast<unsigned char>(piece[0]) & 0xC0) == 0x80;
    EXPECT_FALSE(starts_inside) << piece;
  }
}

TEST_F(Written, StopsInsideOtherScripts) { EXPECT_EQ(write("愤怒停止了", {.stop = {"停止"}}).text, "愤怒"); }

TEST_F(Written, LeavesOutBlanksBeforeTheClosingText) {
  EXPECT_EQ(write("flat  ### more", {.closing = "###"}).text, "flat");
  EXPECT_EQ(write("flat ## ", {.closing = "###"}).text, "flat ##");
}

TEST_F(Written, TakesNothingBehindItsEnd) {
  AnswerText text(*tokenizer, {.stop = {"!"}});
  std::string shown;
  for (const int64_t id : tokenizer->encode("a!b!")) shown += text.add(id);
  EXPECT_EQ(shown + text.finish(), "a");
}

TEST(StopTexts, RefuseToBeEmpty) {
  test::expect_error(
      ErrorKind::config,
      [] {
        check_stop({"a", ""});
      },
      "a text that ends answers is empty");
}

TEST(StopTexts, RefuseToBeNoUtf8) {
  test::expect_error(
      ErrorKind::config,
      [] {
        check_stop({"a", "\xc3"});
      },
      "a text that ends answers is not UTF-8");
}

}  // namespace
}  // namespace microemo::infer
