#include "microemo/eval/labels.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/support.h"
#include "microemo/base/json.h"

namespace microemo::eval {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(TextLists, AreCutAsPythonCutsThem) {
  const Json expected = read_json(test::data_folder() / "eval" / "expected.json");
  for (const Json& example : expected.at("text_lists"))
    EXPECT_EQ(string_to_list(example.at("text").get<std::string>()), example.at("list").get<std::vector<std::string>>())
        << example.at("text");
}

TEST(TextLists, ALoneBracketIsAnEmptyList) { EXPECT_THAT(string_to_list("["), IsEmpty()); }

TEST(Labels, AreSpelledInLowerCaseWithoutBlanksAround) {
  EXPECT_EQ(normalise_label(" \u3000Not Good Enough\n"), "not good enough");
}

TEST(Labels, LettersBeyondAsciiHaveALowerCaseToo) {
  EXPECT_EQ(normalise_label("ÄRGER Гнев ΛΥΠΗ"), "ärger гнев λυπη");
  EXPECT_EQ(normalise_label("\u212aeen"), "keen");
  EXPECT_EQ(normalise_label("\u0130"), "i\u0307");
}

TEST(Labels, ScriptsWithoutCaseStayAsTheyAre) { EXPECT_EQ(normalise_label("高兴"), "高兴"); }

TEST(Labels, BytesThatAreNoTextStayAsTheyAre) { EXPECT_EQ(normalise_label("A\xff"), "a\xff"); }

TEST(Extraction, TakesWhatThePersonFeels) {
  EXPECT_THAT(extract_labels("The person feels joyful and amazed."), ElementsAre("joyful", "amazed"));
}

TEST(Extraction, LeavesTheCluesOfASyntheticAnswerOut) {
  EXPECT_THAT(extract_labels("The words are positive, the voice is flat, the brows rise: the person feels amazed and curious."),
              ElementsAre("amazed", "curious"));
}

TEST(Extraction, TakesTheListInBrackets) {
  EXPECT_THAT(extract_labels("Labels: [Happy, 'sad', \"let down\"]."), ElementsAre("happy", "sad", "let down"));
}

TEST(Extraction, TakesAPlainList) {
  EXPECT_THAT(extract_labels("happy, sad, or worried"), ElementsAre("happy", "sad", "worried"));
}

TEST(Extraction, TakesASingleWord) { EXPECT_THAT(extract_labels("Angry"), ElementsAre("angry")); }

TEST(Extraction, StopsAtTheEndOfTheSentence) {
  EXPECT_THAT(extract_labels("He is feeling tired, but relieved. His mouth moves, and he nods."),
              ElementsAre("tired", "relieved"));
}

TEST(Extraction, TakesTheLastOfSeveralStatements) {
  EXPECT_THAT(extract_labels("At first she feels calm. Then she feels a bit uneasy and very sad!"), ElementsAre("uneasy", "sad"));
}

TEST(Extraction, KnowsTheUsualLeads) {
  EXPECT_THAT(extract_labels("The character's emotional state is: happy; proud"), ElementsAre("happy", "proud"));
  EXPECT_THAT(extract_labels("Her emotions are hope and fear"), ElementsAre("hopeful", "fearful"));
  EXPECT_THAT(extract_labels("Emotions:\nhappy, sad"), ElementsAre("happy", "sad"));
}

TEST(Extraction, ALeadWithinAWordIsNone) {
  EXPECT_THAT(extract_labels("unfeeling, heartfelt"), ElementsAre("unfeeling", "heartfelt"));
}

TEST(Extraction, NamesEveryLabelOnce) { EXPECT_THAT(extract_labels("[happy, Happy, happy ]"), ElementsAre("happy")); }

TEST(Extraction, ReadsChineseLists) { EXPECT_THAT(extract_labels("高兴，难过、平静"), ElementsAre("happy", "sad", "calm")); }

TEST(Extraction, ANegationIsNotTakenForItsOpposite) { EXPECT_THAT(extract_labels("The person feels not happy."), IsEmpty()); }

TEST(Extraction, AnAnswerWithoutWordsHasNoLabels) {
  for (const char* answer : {"", " ", ".", "[]", "[ ]", "The person feels.", "The person feels , and ."})
    EXPECT_THAT(extract_labels(answer), IsEmpty()) << answer;
}

}  // namespace
}  // namespace microemo::eval
