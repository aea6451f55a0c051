#include "microemo/eval/explanation.h"

#include <cmath>

#include "formats/support.h"

namespace microemo::eval {
namespace {

using test::expect_error;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::IsSupersetOf;

constexpr const char* reference =
    "He SMILES with raised eyebrows, his voice is loud, and he says \"thank you\", so he is grateful.";

TEST(Clues, AreFoundByChannel) {
  EXPECT_THAT(clues_in(reference, Channel::visual), ElementsAre("eyebrows", "smile"));
  EXPECT_THAT(clues_in(reference, Channel::acoustic), ElementsAre("loud", "voice"));
  EXPECT_THAT(clues_in(reference, Channel::lexical), ElementsAre("quotation", "says", "thank"));
}

TEST(Clues, AreFoundInChinese) {
  EXPECT_THAT(clues_in("她皱眉，声音颤抖，说“对不起”。", Channel::visual), ElementsAre("frown"));
  EXPECT_THAT(clues_in("她皱眉，声音颤抖，说“对不起”。", Channel::acoustic), ElementsAre("tremble", "voice"));
  EXPECT_THAT(clues_in("她皱眉，声音颤抖，说“对不起”。", Channel::lexical), IsSupersetOf({"apology", "quotation", "says"}));
}

TEST(Clues, AreWholeWords) {
  EXPECT_THAT(clues_in("The surface of the handle was embroidered.", Channel::visual), IsEmpty());
  EXPECT_THAT(clues_in("overtones, breathtaking", Channel::acoustic), IsEmpty());
  EXPECT_THAT(clues_in("\"", Channel::lexical), IsEmpty());
}

TEST(Coverage, IsTheShareOfTheReferencesClues) {
  const std::vector<ExplanationPair> pairs = {{"a", reference, "A smile and open eyes."}, {"b", "Nothing.", "He frowns."}};
  const ClueCoverage visual = cover_clues(pairs, Channel::visual);
  EXPECT_EQ(visual.n, 1);
  EXPECT_EQ(visual.coverage, 0.5);
  EXPECT_EQ(visual.precision, 0.5);
  EXPECT_EQ(cover_clues(pairs, Channel::acoustic).coverage, 0);
}

TEST(Coverage, WithoutCluesThereIsNoNumber) {
  const ClueCoverage coverage = cover_clues({{"b", "Nothing.", "He frowns."}}, Channel::visual);
  EXPECT_EQ(coverage.n, 0);
  EXPECT_TRUE(std::isnan(coverage.coverage) && std::isnan(coverage.precision));
}

TEST(AgreementOfAnswers, IsThatOfTextAndLabels) {
  const Grouping plain{"plain", {{"happy", "A"}, {"joyful", "A"}, {"sad", "B"}}};
  const Agreement agreement = agree_with_labels(
      {{"The person feels joyful.", {"happy"}}, {"The person feels sad.", {"happy"}}, {"He feels sad.", {"neutral"}}}, plain);
  EXPECT_EQ(agreement.n, 2);
  EXPECT_EQ(agreement.f, 0.5);
}

TEST(Judges, ScoreWithTheFirstNumberOfTheirAnswer) {
  EXPECT_EQ(judged_score("'预测分数'：8；'原因'：两者一致"), 8);
  EXPECT_EQ(judged_score("8.5/10, because of 2 clues"), 8.5);
  EXPECT_EQ(judged_score("10"), 10);
  EXPECT_EQ(judged_score("7. The clues agree"), 7);
}

TEST(Judges, AreRefusedWithoutANumberFromOneToTen) {
  for (const char* answer : {"", "no score", "0", "11", "100", "8..5"})
    expect_error(
        ErrorKind::data, [&] { judged_score(answer); }, "the judge's");
}

class ExplanationFiles : public testing::Test {
 protected:
  std::vector<ExplainedItem> read(const std::string& name, const std::string& text) const {
    return read_explanations(test::write(folder_.path() / name, text)).items;
  }
  void expect_refused(const std::string& name, const std::string& text, const std::string& reason) const {
    expect_error(
        ErrorKind::data, [&] { read(name, text); }, reason, name);
  }
  TemporaryFolder folder_;
};

TEST_F(ExplanationFiles, AreLinesTablesAndDictionaries) {
  const auto lines =
      read("x.jsonl", "{\"id\":\"a\",\"answer\":\"He smiles.\",\"labels\":[\"happy\"]}\n{\"name\":\"b\",\"reason\":\"\"}\n");
  EXPECT_EQ(lines[0].text, "He smiles.");
  EXPECT_TRUE(lines[0].has_labels && !lines[1].has_labels);
  EXPECT_EQ(read("x.csv", "names,emotions,reasons\na,angry,\"loud, fast\"\n")[0].text, "loud, fast");
  EXPECT_EQ(read_explanations(test::data_folder() / "eval" / "answers.npz").items[1].id, "b");
}

TEST_F(ExplanationFiles, NameWhatMadeTheLabelsBesideThem) {
  const ExplanationFile file =
      read_explanations(test::write(folder_.path() / "x.jsonl",
                                    "{\"id\":\"a\",\"answer\":\"\",\"labels\":[],\"extractor\":\"m\",\"split\":\"s\"}\n"
                                    "{\"clip\":\"b\",\"utterance\":2,\"answer\":\"\",\"labels\":[]}\n"));
  EXPECT_EQ(file.extractors, (LabelNames{"given labels", "m"}));
  EXPECT_EQ(file.splits, LabelNames{"s"});
  EXPECT_EQ(file.items[1].id, "b/2");
  const auto table = test::write(folder_.path() / "x.csv", "name,reason,openset,extractor\na,He smiles.,[happy],m\nb,,[],\n");
  EXPECT_EQ(read_explanations(table).extractors, (LabelNames{"given labels", "m"}));
}

TEST_F(ExplanationFiles, RefuseWhatIsNoText) {
  expect_refused("x.jsonl", "{\"id\":\"a\",\"labels\":[]}\n", "there is no text");
  expect_refused("x.jsonl", "{\"id\":\"a\",\"answer\":\"\"}\n{\"id\":\"a\",\"answer\":\"\"}\n", "'a' stands a second time");
  expect_refused("x.jsonl", "{\"id\":\"\",\"answer\":\"\"}\n", "the id is empty");
  expect_refused("x.jsonl", "\n", "holds no texts");
  expect_refused("x.csv", "name,openset\na,[x]\n", "there is no text");
  expect_refused("x.txt", "", "not '.txt'");
}

TEST_F(ExplanationFiles, OfOtherIdsAreListed) {
  expect_error(
      ErrorKind::data,
      [] {
        match_explanations({{"a", "", {}, false}, {"b", "", {}, false}}, {{"b", "", {}, false}, {"c", "", {}, false}});
      },
      "1 references have no answer: a; 1 answers have no reference: c");
}

class JudgeFiles : public testing::Test {
 protected:
  void expect_refused(const std::string& lines, const std::string& reason, const std::string& place) const {
    expect_error(
        ErrorKind::data, [&] { read_judged_scores(test::write(folder_.path() / "j.jsonl", lines)); }, reason, "j.jsonl" + place);
  }
  TemporaryFolder folder_;
};

TEST_F(JudgeFiles, GiveScoresById) {
  const auto scores = read_judged_scores(
      test::write(folder_.path() / "j.jsonl", "{\"id\":\"a\",\"answer\":\"9\"}\n{\"id\":\"b\",\"answer\":\"score: 4\"}\n"));
  EXPECT_EQ(scores, (std::map<std::string, double>{{"a", 9}, {"b", 4}}));
}

TEST_F(JudgeFiles, RefuseWhatIsNoScore) {
  expect_refused("{\"id\":\"a\",\"answer\":\"9\"}\n{\"id\":\"a\",\"answer\":\"9\"}\n", "'a' stands a second time", ", line 2");
  expect_refused("{\"id\":\"a\",\"answer\":\"none\"}\n", "has no number: 'none'", ", line 1");
  expect_refused("{\"id\":\"a\"}\n", "the key 'answer' is missing", ", line 1");
  expect_refused("\n", "holds no judged answers", "");
}

}  // namespace
}  // namespace microemo::eval
