#include "microemo/eval/extract.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace microemo::eval {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

std::vector<LabelMention> mentions(std::string_view answer) { return find_mentions(answer, own_lexicon()); }
std::vector<std::string> labels(std::string_view answer) { return labels_of(mentions(answer)); }
Sentiment sentiment(std::string_view answer) { return sentiment_of(mentions(answer)); }

// Lists

TEST(ExtractedLists, StandInBrackets) {
  EXPECT_THAT(labels("Labels: [Happy, 'sad', \"let down\"]."), ElementsAre("happy", "sad", "let down"));
  EXPECT_THAT(labels("[[happy], [sad]]"), ElementsAre("happy", "sad"));
  EXPECT_THAT(labels("情绪是【高兴、难过】"), ElementsAre("happy", "sad"));
}

TEST(ExtractedLists, MayBeTheWholeAnswer) {
  EXPECT_THAT(labels("happy, excited"), ElementsAre("happy", "excited"));
  EXPECT_THAT(labels("happy; sad / worried and calm."), ElementsAre("happy", "sad", "worried", "calm"));
  EXPECT_THAT(labels("高兴，难过、平静"), ElementsAre("happy", "sad", "calm"));
  EXPECT_THAT(labels("Angry"), ElementsAre("angry"));
}

TEST(ExtractedLists, AreNumberedOrBulletedAndMayExplain) {
  EXPECT_THAT(labels("1. Happy: she smiles\n2. Very excited (loud voice)\n"), ElementsAre("happy", "excited"));
  EXPECT_THAT(labels("- joy\n- let down"), ElementsAre("joyful", "let down"));
  EXPECT_THAT(labels("（1）高兴\n（2）紧张"), ElementsAre("happy", "nervous"));
}

TEST(ExtractedLists, StandBehindATitle) {
  EXPECT_THAT(labels("She smiles at him and waits. Labels: joy, anger and slight worry"),
              ElementsAre("joyful", "angry", "worried"));
  EXPECT_THAT(labels("Emotions:\nhappy, sad"), ElementsAre("happy", "sad"));
  EXPECT_THAT(labels("**Emotion:** Joy"), ElementsAre("joyful"));
  EXPECT_THAT(labels("情绪：高兴、感激"), ElementsAre("happy", "grateful"));
}

TEST(ExtractedLists, StandBehindFeels) {
  EXPECT_THAT(labels("The voice is flat: the person feels amazed and curious."), ElementsAre("amazed", "curious"));
  EXPECT_THAT(labels("The character's emotional state is: happy; proud"), ElementsAre("happy", "proud"));
  EXPECT_THAT(labels("他的情绪是高兴和激动。"), ElementsAre("happy", "agitated"));
}

TEST(ExtractedLists, KeepWordsThatTheLexiconDoesNotKnow) {
  const auto found = mentions("[Saudade, deeply hygge feeling]");
  ASSERT_THAT(found, SizeIs(2));
  EXPECT_EQ(found[0].label, "saudade");
  EXPECT_EQ(found[1].label, "hygge");
  EXPECT_FALSE(found[0].known);
}

TEST(ExtractedLists, MayBeEmpty) {
  for (const char* answer : {"[]", "[ ]", "None", "无", "Labels: none."}) EXPECT_THAT(labels(answer), IsEmpty()) << answer;
}

TEST(ExtractedLists, DoNotHoldPartsOfSentences) {
  EXPECT_THAT(labels("He walks to the door, and she answers happily."), ElementsAre("happy"));
  EXPECT_THAT(labels("Labels: she is happy when he comes home"), ElementsAre("happy"));
}

// Prose

TEST(ExtractedProse, NamesAFamilyByItsAdjective) {
  EXPECT_THAT(labels("He speaks angrily, and her happiness turns into worry."), ElementsAre("angry", "happy", "worried"));
  EXPECT_THAT(labels("她的快乐变成了担忧。"), ElementsAre("happy", "worried"));
}

TEST(ExtractedProse, HasLabelsOfSeveralWords) {
  EXPECT_THAT(labels("In the end she is let down, and he is looking forward to it."), ElementsAre("let down", "anticipating"));
}

TEST(ExtractedProse, MixesScripts) { EXPECT_THAT(labels("He seems 高兴 and not worried."), ElementsAre("happy")); }

TEST(ExtractedProse, MarksWhatIsDenied) {
  for (const char* answer : {"He does not seem angry.", "There are no signs of nervousness or anger in it.", "She isn’t angry.",
                             "He is far from angry.", "他并不生气。", "这不是愤怒的表现。", "没有明显的紧张或不安的迹象。"}) {
    EXPECT_THAT(labels(answer), IsEmpty()) << answer;
    EXPECT_FALSE(mentions(answer).empty()) << answer;
  }
}

TEST(ExtractedProse, DeniesNoFurtherThanTheClause) {
  EXPECT_THAT(labels("He is not angry but sad."), ElementsAre("sad"));
  EXPECT_THAT(labels("He is not angry, he is worried."), ElementsAre("worried"));
  EXPECT_THAT(labels("She is happy rather than sad."), ElementsAre("happy"));
  EXPECT_THAT(labels("他没有生气，而是非常高兴。"), ElementsAre("happy"));
  EXPECT_THAT(labels("She is not smiling, with an angry look."), ElementsAre("angry"));
}

TEST(ExtractedProse, KnowsWhatOnlyLooksLikeADenial) {
  EXPECT_THAT(labels("She is not only angry but also sad."), ElementsAre("angry", "sad"));
  EXPECT_THAT(labels("They cannot help but be happy about it."), ElementsAre("happy"));
  EXPECT_THAT(labels("不得不说，他很开心。"), ElementsAre("happy"));
}

TEST(ExtractedProse, AWordWithNotInItIsItsOwnFamily) {
  EXPECT_THAT(labels("他不高兴"), ElementsAre("displeased"));
  EXPECT_THAT(labels("Clearly she is unhappy."), ElementsAre("unhappy"));
}

TEST(ExtractedProse, KeepsAndMarksWhatIsHedged) {
  const auto found = mentions("He may be slightly worried, but he is very happy. 她可能有些难过。");
  ASSERT_THAT(found, SizeIs(3));
  EXPECT_TRUE(found[0].hedged);
  EXPECT_EQ(found[0].intensity, Intensity::weak);
  EXPECT_FALSE(found[1].hedged);
  EXPECT_EQ(found[1].intensity, Intensity::strong);
  EXPECT_TRUE(found[2].hedged);
  EXPECT_EQ(found[2].intensity, Intensity::weak);
}

TEST(ExtractedProse, SaysWhereALabelStands) {
  const std::string answer = "最后，他非常高兴, and she is glad.";
  const auto found = mentions(answer);
  ASSERT_THAT(found, SizeIs(2));
  EXPECT_EQ(answer.substr(found[0].start, found[0].end - found[0].start), "高兴");
  EXPECT_EQ(answer.substr(found[1].start, found[1].end - found[1].start), "glad");
}

TEST(ExtractedProse, LeavesSpeechOutButReadsTermsInQuotes) {
  EXPECT_THAT(labels("She says \"I am so happy that you came\", but she looks sad."), ElementsAre("sad"));
  EXPECT_THAT(labels("字幕内容：“我真的非常高兴见到你。” 她显得难过。"), ElementsAre("sad"));
  EXPECT_THAT(labels("One would call it \"happy\" in a way."), ElementsAre("happy"));
  EXPECT_THAT(labels("\"In the end she is happy about the news.\""), ElementsAre("happy"));
}

TEST(ExtractedProse, TakesNoLabelFromWhatAnInferenceIsBasedOn) {
  const auto found = mentions("Based on the calm look of the man, we can infer that he is sad.");
  ASSERT_THAT(found, SizeIs(2));
  EXPECT_EQ(found[0].form, AnswerForm::evidence);
  EXPECT_THAT(labels_of(found), ElementsAre("sad"));
  EXPECT_THAT(labels("根据她平静的表情，可以推断她难过。"), ElementsAre("sad"));
}

TEST(ExtractedProse, OfALongDescriptionConcludesAtItsEnd) {
  EXPECT_THAT(labels("He looks calm. He walks in. He sits down. He takes the letter. He reads it angrily."),
              ElementsAre("angry"));
}

TEST(ExtractedProse, TakesAmbiguousWordsOnlyBehindFeels) {
  EXPECT_THAT(labels("She reads the content of the letter with care."), IsEmpty());
  EXPECT_THAT(labels("She looks content in the new house."), ElementsAre("content"));
}

TEST(ExtractedAnswers, OfWhatNamesNoEmotionIsEmpty) {
  for (const char* answer : {"", " ", "\n", ".", "The person feels.", "The person feels , and .", "She walks to the door.", "\"",
                             "“", "[", "]", "1.", "-", "……"})
    EXPECT_THAT(labels(answer), IsEmpty()) << answer;
}

TEST(ExtractedAnswers, OfBytesThatAreNotUtf8Ends) {
  EXPECT_THAT(labels("\xff\xfe happy \xe4\xbd"), testing::Contains("happy"));
  EXPECT_THAT(labels(std::string(3, '\0') + "\xf0\x9f\x98"), SizeIs(testing::Le(1)));
}

TEST(ExtractedAnswers, MayBeVeryLong) {
  const auto repeated = [](std::string_view piece) {
    std::string text;
    for (int i = 0; i < 100000; ++i) text += piece;
    return text;
  };
  for (const char* piece : {"[", "\"", "“", "feels ", "labels: ", "1.\n", "a"})
    EXPECT_THAT(labels(repeated(piece)), SizeIs(testing::Le(1)));
  EXPECT_THAT(labels(repeated("happy ")), ElementsAre("happy"));
}

TEST(ExtractedLists, AreTheFirstInBracketsThatClose) {
  EXPECT_THAT(labels("[ [happy] [sad]"), ElementsAre("happy"));
  EXPECT_THAT(labels("[[happy], sad] [calm]"), ElementsAre("happy", "sad"));
}

TEST(ExtractedAnswers, NamesEveryLabelOnceInOrder) { EXPECT_THAT(labels("[happy, Joy, happy]"), ElementsAre("happy", "joyful")); }

// Sentiment

TEST(ExtractedSentiment, IsTheSideOfTheLabels) {
  EXPECT_EQ(sentiment("happy").label, "positive");
  EXPECT_EQ(sentiment("She is angry and disappointed about it.").label, "negative");
  EXPECT_EQ(sentiment("neutral").label, "neutral");
  EXPECT_EQ(sentiment("积极").label, "positive");
}

TEST(ExtractedSentiment, IsNeutralWithoutLabels) {
  EXPECT_EQ(sentiment("").value, 0);
  EXPECT_EQ(sentiment("She walks to the door.").label, "neutral");
  EXPECT_EQ(sentiment("saudade").label, "neutral");
}

TEST(ExtractedSentiment, IsTurnedRoundAndHalvedByADenial) {
  EXPECT_DOUBLE_EQ(sentiment("He is not happy about it.").value, -0.5 * sentiment("happy").value);
  EXPECT_EQ(sentiment("没有生气").label, "positive");
}

TEST(ExtractedSentiment, WeighsByDegree) {
  EXPECT_GT(sentiment("very happy and slightly sad").value, sentiment("happy and sad").value);
  EXPECT_LT(sentiment("slightly happy and very sad").value, sentiment("happy and sad").value);
  EXPECT_LT(sentiment("Perhaps he is happy, but he is sad.").value, sentiment("He is happy, but he is sad.").value);
}

TEST(ExtractedSentiment, StaysWithinItsBounds) {
  EXPECT_GE(sentiment("extremely furious, very enraged").value, -1);
  EXPECT_LE(sentiment("extremely joyful, very overjoyed").value, 1);
}

}  // namespace
}  // namespace microemo::eval
