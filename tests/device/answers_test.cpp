// What bench/gpu/check.sh asks of answers on a GPU.
#include "answers.h"

#include <gtest/gtest.h>

#include "second_device.h"

namespace microemo {
namespace {

const Answers wanted{{{5, 6, 7}, {8, 9}}, {{0.5, 1e-4, 0.5}, {0.5, 0.002}}};

TEST(AnswersOnADevice, ThatAreTheSameAreComparedToTheirEnds) {
  const AnswerDifferences found = compare_answers(wanted, wanted.ids);
  EXPECT_EQ(found.tokens, 5);
  EXPECT_EQ(found.compared, 5);
  EXPECT_EQ(found.unsure, 1);
  EXPECT_EQ(found.other, 0);
  EXPECT_EQ(found.wrong, "");
}

TEST(AnswersOnADevice, MayDifferWhereTwoTokensAreAlmostAsProbable) {
  const AnswerDifferences found = compare_answers(wanted, {{5, 1, 2}, {8, 9}});
  EXPECT_EQ(found.compared, 4) << "what follows from another token is not compared";
  EXPECT_EQ(found.other, 1);
  EXPECT_EQ(found.wrong, "");
}

TEST(AnswersOnADevice, MayNotDifferElsewhere) {
  const AnswerDifferences found = compare_answers(wanted, {{5, 6, 7}, {8, 4}});
  EXPECT_EQ(found.other, 1);
  EXPECT_EQ(found.wrong, "token 2 of answer 2 is 4 in place of 9, which is 0.002 more probable than the next");
  EXPECT_NE(compare_answers(wanted, {{1, 6, 7}, {8, 9}}).wrong, "");
}

TEST(AnswersOnADevice, AMarginOfAThousandthItselfIsNotEnough) {
  const Answers edge{{{5}, {6}}, {{sure_margin}, {0.00101}}};
  EXPECT_EQ(compare_answers(edge, {{4}, {6}}).wrong, "");
  EXPECT_NE(compare_answers(edge, {{5}, {4}}).wrong, "");
}

TEST(AnswersOnADevice, OfOtherLengthsAreWrong) {
  EXPECT_NE(compare_answers(wanted, {{5, 6}, {8, 9}}).wrong, "");
  EXPECT_NE(compare_answers(wanted, {{5, 6, 7}, {8, 9, 10}}).wrong, "");
  EXPECT_NE(compare_answers(wanted, {{5, 6, 7}, {}}).wrong, "");
  EXPECT_ANY_THROW(compare_answers(wanted, {{5, 6, 7}}));
}

TEST(AnswersOnADevice, AreThoseOfTheCpuOnADeviceThatComputesAsItDoes) {
  testing::internal::CaptureStdout();
  EXPECT_TRUE(same_answers(test::second_device()));
  const std::string printed = testing::internal::GetCapturedStdout();
  EXPECT_NE(printed.find("1280 tokens of 40 greedy answers"), std::string::npos) << printed;
  EXPECT_NE(printed.find("16, in reverse order                        0              1280\n"), std::string::npos) << printed;
}

}  // namespace
}  // namespace microemo
