#include "microemo/eval/extract_answers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "microemo/base/error.h"
#include "microemo/base/files.h"

namespace microemo::eval {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class AnswersFile : public testing::Test {
 protected:
  std::filesystem::path write(const std::string& name, const std::string& text) {
    write_file_atomic(folder_.path() / name, text);
    return folder_.path() / name;
  }

  void refuses(const std::string& name, const std::string& text, const std::string& message, const std::string& place) {
    const auto path = write(name, text);
    try {
      read_answers(path);
      ADD_FAILURE() << "read " << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::data);
      EXPECT_THAT(error.message(), HasSubstr(message));
      EXPECT_THAT(error.place(), HasSubstr(place));
    }
  }

  TemporaryFolder folder_;
};

TEST_F(AnswersFile, OfJsonLines) {
  const AnswerFile file =
      read_answers(write("a.jsonl", "{\"id\": \"1\", \"answer\": \"happy\"}\n{\"name\": \"2\", \"answer\": \"\"}\n"));
  ASSERT_EQ(file.answers.size(), 2u);
  EXPECT_EQ(file.answers[1].id, "2");
  EXPECT_EQ(file.column, "answer");
  EXPECT_THAT(file.empty_ids(), ElementsAre("2"));
}

TEST_F(AnswersFile, OfTheFirstColumnThatThereIs) {
  EXPECT_EQ(read_answers(write("a.csv", "name,chi_reason,eng_reason\n1,高兴,happy\n")).answers[0].text, "happy");
  EXPECT_EQ(read_answers(write("b.csv", "name,chinese,english\n1,高兴,glad\n")).column, "english");
  EXPECT_EQ(read_answers(write("c.csv", "name,reason\n1,sad\n")).answers[0].text, "sad");
  EXPECT_EQ(read_answers(write("d.csv", "names,emotions,reasons\n1,x,sad\n")).answers[0].text, "sad");
}

TEST_F(AnswersFile, OfTheColumnThatIsNamed) {
  EXPECT_EQ(read_answers(write("a.csv", "name,chinese,english\n1,高兴,glad\n"), "chinese").answers[0].text, "高兴");
  EXPECT_THROW(read_answers(folder_.path() / "a.csv", "french"), Error);
}

TEST_F(AnswersFile, WithAnIdTwiceIsRefusedAndListsThem) {
  refuses("a.csv", "name,reason\n1,sad\n2,happy\n1,angry\n2,calm\n", "2 ids stand more than once: 1 (lines 2, 4), 2 (lines 3, 5)",
          "line 4");
}

TEST_F(AnswersFile, WithoutAnIdIsRefused) {
  refuses("a.csv", "name,reason\n ,sad\n", "empty id", "line 2");
  refuses("a.jsonl", "{\"answer\": \"sad\"}\n", "id", "line 1");
  refuses("b.csv", "clip,reason\n1,sad\n", "name", "b.csv");
}

TEST_F(AnswersFile, WithoutAnswersIsRefused) {
  refuses("a.csv", "name,reason\n", "no answers", "a.csv");
  refuses("a.jsonl", "", "no answers", "a.jsonl");
  refuses("b.csv", "name,labels\n1,x\n", "no column holds answers: there are name, labels", "line 1");
  refuses("b.jsonl", "{\"id\": \"1\"}\n", "answer", "line 1");
}

TEST_F(AnswersFile, ThatIsNotUtf8IsRefused) {
  refuses("a.csv", "name,reason\n1,\xff\xfe\n", "UTF-8", "a.csv");
  refuses("a.jsonl", "{\"id\": \"1\", \"answer\": \"\xff\"}\n", "UTF-8", "line 1");
}

TEST_F(AnswersFile, OfAnotherKindIsRefused) { refuses("a.txt", "happy", "\".txt\"", "a.txt"); }

TEST_F(AnswersFile, WithANumberForAnAnswerIsRefused) {
  refuses("a.jsonl", "{\"id\": \"1\", \"answer\": 3}\n", "answer", "line 1");
}

TEST(ExtractionLine, CountsTheSpanInCharacters) {
  const Answer answer{"1", "他非常高兴, and glad.", 1};
  const Json line = extraction_json(answer, find_mentions(answer.text, own_lexicon()), "rules-1", true);
  EXPECT_EQ(line["labels"], Json({"happy", "glad"}));
  EXPECT_EQ(line["extractor"], "rules-1");
  EXPECT_EQ(line["sentiment"], "positive");
  EXPECT_EQ(line["mentions"][0]["text"], "高兴");
  EXPECT_EQ(line["mentions"][0]["span"], Json({3, 5}));
  EXPECT_EQ(line["mentions"][0]["intensity"], "strong");
  EXPECT_EQ(line["mentions"][1]["span"], Json({11, 15}));
}

TEST(ExtractionLine, HasNoSentimentUnlessItIsAskedFor) {
  const Answer answer{"1", "happy", 1};
  EXPECT_FALSE(extraction_json(answer, find_mentions(answer.text, own_lexicon()), "rules-1", false).contains("sentiment"));
}

}  // namespace
}  // namespace microemo::eval
