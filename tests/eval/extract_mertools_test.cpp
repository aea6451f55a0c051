#include "microemo/eval/extract_mertools.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace microemo::eval {
namespace {

using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(ModelOutput, LosesOneLeadOneColonAndItsLineEnds) {
  EXPECT_EQ(clean_output(" Output: [happy,\n sad] \n"), "[happy, sad]");
  EXPECT_EQ(clean_output("输出：[高兴]"), "[高兴]");
  EXPECT_EQ(clean_output("让我们来翻译一下：[sad]"), "[sad]");
  EXPECT_EQ(clean_output("翻译 : 你好"), "你好");
  EXPECT_EQ(clean_output("input\n:\n[angry]"), "[angry]");
}

TEST(ModelOutput, LosesNoSecondLeadAndNoSecondColon) {
  EXPECT_EQ(clean_output("Output: Output: [happy]"), "Output: [happy]");
  EXPECT_EQ(clean_output("::[happy]"), ":[happy]");
}

TEST(ModelOutput, KeepsLeadsThatDoNotStandInFront) { EXPECT_EQ(clean_output("The Output: x"), "The Output: x"); }

TEST(ModelOutput, MayBeEmpty) {
  for (const char* output : {"", " \n", "Output:", "[]", "[", "]", "[,,]", "Output: []"})
    EXPECT_THAT(labels_of_output(output), IsEmpty()) << output;
}

TEST(ModelOutput, HoldsLabelsInLowerCaseEachOnce) {
  EXPECT_THAT(labels_of_output("Output: [Happy, 'SAD', \"let down\", happy]"), ElementsAre("happy", "sad", "let down"));
}

// The quirks of the public code, which its published scores contain.
TEST(ModelOutput, IsCutAsThePublicCodeCutsIt) {
  EXPECT_THAT(labels_of_output("[happy, sad]."), ElementsAre("happy", "sad]."));
  EXPECT_THAT(labels_of_output("happy; sad and calm"), ElementsAre("happy; sad and calm"));
  EXPECT_THAT(labels_of_output("[[happy], [sad]]"), ElementsAre("[happy]", "[sad]"));
  EXPECT_THAT(labels_of_output("[don't know, sad]"), ElementsAre("don", "t know", "sad"));
  EXPECT_THAT(labels_of_output("[happy，sad]"), ElementsAre("happy，sad"));
}

TEST(ModelOutput, IsASentimentAsItStands) {
  EXPECT_EQ(sentiment_of_output(" Output: positive\n"), "positive");
  EXPECT_EQ(sentiment_of_output("Positive."), "Positive.");
}

TEST(ModelPrompts, HaveThePublicStructure) {
  const std::string prompt = mertools_label_prompt("He {smiles}.");
  for (const char* part :
       {"expert", "main character", "most clues", "separated by commas", "empty list", "[]", "Input: He {smiles}."})
    EXPECT_THAT(prompt, HasSubstr(part));
  EXPECT_THAT(prompt, EndsWith("Output:"));
  for (const char* part : {"positive, negative or neutral", "directly", "Input: He {smiles}."})
    EXPECT_THAT(mertools_sentiment_prompt("He {smiles}."), HasSubstr(part));
}

}  // namespace
}  // namespace microemo::eval
