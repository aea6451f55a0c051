#include "microemo/text/utterance_rules.h"

#include <cmath>

#include "support/errors.h"

namespace microemo::text {
namespace {

using test::expect_error;

std::vector<Cue> ruled(std::vector<Cue> cues, const UtteranceRules& rules) {
  return utterances_of(std::move(cues), rules, "talk.srt");
}

std::string shown(const std::vector<Cue>& cues) {
  std::string text;
  for (const Cue& cue : cues) text += fmt::format("[{:g}-{:g} {}]", cue.start_s, cue.end_s, cue.text);
  return text;
}

TEST(UtteranceRules, LeaveCuesAsTheyAreByDefault) {
  EXPECT_EQ(shown(ruled({{0, 1, "a"}, {1, 2, "b"}, {5, 6, "c"}}, {})), "[0-1 a][1-2 b][5-6 c]");
  EXPECT_TRUE(ruled({}, {.merge_gap_s = 1, .longest_s = 1, .shortest_s = 1, .most = 1, .pad_s = 1}).empty());
}

TEST(UtteranceRules, RefuseOverlapWithItsLine) {
  const Error error = expect_error(
      ErrorKind::data,
      [] {
        ruled({{0, 3, "a", 2}, {2, 4, "b", 6}}, {});
      },
      "before the one above it ends (3.000 s)");
  EXPECT_THAT(error.place(), ::testing::HasSubstr("line 6"));
}

TEST(UtteranceRules, CutOverlap) {
  EXPECT_EQ(shown(ruled({{0, 3, "a"}, {2, 4, "b"}, {2.5, 2.75, "c"}}, {.overlap = Overlap::cut})),
            "[0-2 a][2-2.5 b][2.5-2.75 c]");
  EXPECT_EQ(shown(ruled({{1, 3, "a"}, {1, 4, "b"}}, {.overlap = Overlap::cut})), "[1-4 a b]");
}

TEST(UtteranceRules, MergeOverlap) {
  EXPECT_EQ(shown(ruled({{0, 5, "a"}, {2, 4, "b"}, {4.5, 6, "c"}, {7, 8, "d"}}, {.overlap = Overlap::merge})),
            "[0-6 a b c][7-8 d]");
}

TEST(UtteranceRules, MergeNeighboursOfOneSpeaker) {
  const std::vector<Cue> cues = {{0, 1, "a", 0, "A"}, {1.2, 2, "b", 0, "A"}, {2.1, 3, "c", 0, "B"}, {4, 5, "d", 0, "B"}};
  EXPECT_EQ(shown(ruled(cues, {.merge_gap_s = 0.3})), "[0-2 a b][2.1-3 c][4-5 d]");
  EXPECT_EQ(shown(ruled(cues, {.merge_gap_s = 2, .longest_s = 2.5})), "[0-2 a b][2.1-3 c][4-5 d]");
  EXPECT_EQ(shown(ruled(cues, {.merge_gap_s = 0.15})), "[0-1 a][1.2-2 b][2.1-3 c][4-5 d]");
}

TEST(UtteranceRules, GiveShortOnesToTheNearerNeighbour) {
  EXPECT_EQ(shown(ruled({{0, 2, "a"}, {3, 3.2, "b"}, {3.5, 6, "c"}}, {.shortest_s = 0.5})), "[0-2 a][3-6 b c]");
  EXPECT_EQ(shown(ruled({{0, 2, "a"}, {2.1, 2.3, "b"}, {3.5, 6, "c"}}, {.shortest_s = 0.5})), "[0-2.3 a b][3.5-6 c]");
  EXPECT_EQ(shown(ruled({{0, 0.1, "a"}, {0.2, 0.3, "b"}}, {.shortest_s = 5})), "[0-0.3 a b]");
  EXPECT_EQ(shown(ruled({{0, 0.1, "a"}}, {.shortest_s = 5})), "[0-0.1 a]");
}

TEST(UtteranceRules, SplitLongOnesByTheTimesOfTheirWords) {
  Cue cue{0, 10, "one two, three four"};
  cue.words = {{0, 1, "one"}, {1, 4.5, "two,"}, {6, 7, "three"}, {9, 10, "four"}};
  EXPECT_EQ(shown(ruled({cue}, {.longest_s = 5})), "[0-4.5 one two,][4.5-10 three four]");
  const auto parts = ruled({cue}, {.longest_s = 5});
  EXPECT_EQ(parts[1].words.size(), 2u);
}

TEST(UtteranceRules, SplitLongOnesByTheLengthOfTheirWords) {
  EXPECT_EQ(shown(ruled({{0, 8, "abc abc abc abc"}}, {.longest_s = 4.1})), "[0-3.73333 abc abc][3.73333-8 abc abc]");
}

TEST(UtteranceRules, SplitTextWithoutBlanksBetweenIdeographs) {
  const std::string joy = "\xE9\xAB\x98\xE5\x85\xB4";  // two characters
  const auto parts = ruled({{0, 4, joy + joy}}, {.longest_s = 2});
  EXPECT_EQ(shown(parts), "[0-2 " + joy + "][2-4 " + joy + "]");
}

TEST(UtteranceRules, LoseNoWord) {
  std::string text;
  for (int i = 0; i < 200; ++i) text += (i ? " " : "") + std::string(size_t(1 + i * 7 % 11), char('a' + i % 26));
  for (const double longest : {0.3, 1.0, 2.7, 19.0}) {
    std::string joined;
    double end_s = 0;
    for (const Cue& part : ruled({{0, 20, text}}, {.longest_s = longest})) {
      EXPECT_GE(part.start_s, end_s);
      EXPECT_GT(part.end_s, part.start_s);
      end_s = part.end_s;
      joined += (joined.empty() ? "" : " ") + part.text;
    }
    EXPECT_EQ(joined, text);
    EXPECT_EQ(end_s, 20);
  }
}

TEST(UtteranceRules, KeepALongOneOfOneWord) { EXPECT_EQ(shown(ruled({{0, 9, "Aaah"}}, {.longest_s = 1})), "[0-9 Aaah]"); }

TEST(UtteranceRules, LoseNoWordThatHasNoTime) {
  Cue cue{0, 10, "It is 7 now"};
  cue.words = {{0, 1, "It"}, {1, 4.5, "is"}, {9, 10, "now"}};
  EXPECT_EQ(ruled({cue}, {.longest_s = 20})[0].text, "It is 7 now");
  std::string joined;
  for (const Cue& part : ruled({cue}, {.longest_s = 3})) joined += part.text + " ";
  EXPECT_EQ(joined, "It is 7 now ");
}

TEST(UtteranceRules, TakeWordsThatLeaveTheirCue) {
  Cue cue{2, 10, "a b c d"};
  cue.words = {{0, 1, "a"}, {1, 2, "b"}, {3, 12, "c"}, {12, 13, "d"}};
  EXPECT_EQ(shown(ruled({cue}, {.longest_s = 2.5})), "[2-10 a b c d]");
  cue.words = {{0, 1, "a"}, {3, 4, "b"}, {4, 7, "c"}, {12, 13, "d"}};
  EXPECT_EQ(shown(ruled({cue}, {.longest_s = 2.5})), "[2-4 a b][4-7 c][7-10 d]");
}

TEST(UtteranceRules, MakeNoMorePartsThanWords) {
  EXPECT_EQ(shown(ruled({{0, 1, "a"}, {1, 9e6, "b c"}}, {.longest_s = 1e-300})), "[0-1 a][1-3e+06 b][3e+06-9e+06 c]");
}

TEST(UtteranceRules, MergeDownToANumberAndDropNone) {
  const std::vector<Cue> cues = {{0, 1, "a"}, {1.1, 2, "b"}, {3, 4, "c"}, {4.05, 9, "d"}, {20, 21, "e"}};
  EXPECT_EQ(shown(ruled(cues, {.most = 4})), "[0-1 a][1.1-2 b][3-9 c d][20-21 e]");
  EXPECT_EQ(shown(ruled(cues, {.most = 3})), "[0-2 a b][3-9 c d][20-21 e]");
  EXPECT_EQ(shown(ruled(cues, {.most = 1})), "[0-21 a b c d e]");
}

TEST(UtteranceRules, MergeManyCuesInLittleTime) {
  std::vector<Cue> cues;
  for (int i = 0; i < 100000; ++i) cues.push_back({double(i), i + 0.5, "x"});
  EXPECT_EQ(ruled(cues, {.most = 7}).size(), 7u);
  EXPECT_EQ(ruled(cues, {.shortest_s = 3}).size(), 25000u);
}

TEST(UtteranceRules, PadToTheMiddleOfAGap) {
  EXPECT_EQ(shown(ruled({{0.1, 1, "a"}, {1.2, 2, "b"}, {4, 5, "c"}}, {.pad_s = 0.2})), "[0-1.1 a][1.1-2.2 b][3.8-5.2 c]");
}

TEST(UtteranceRules, NameTheSpeakerWhereAllAgree) {
  const auto cues = ruled({{0, 1, "a", 0, "A"}, {1, 2, "b", 0, "A"}, {2, 3, "c", 0, "B"}}, {.most = 2});
  EXPECT_EQ(cues[0].speaker, "A");
  EXPECT_EQ(ruled({{0, 1, "a", 0, "A"}, {2, 3, "c", 0, "B"}}, {.most = 1})[0].speaker, "");
}

TEST(UtteranceRules, RefuseRulesThatAreNone) {
  for (const UtteranceRules& rules :
       {UtteranceRules{.merge_gap_s = -1}, {.longest_s = NAN}, {.shortest_s = INFINITY}, {.pad_s = -0.1}, {.most = -1}})
    expect_error(
        ErrorKind::config, [&] { ruled({}, rules); }, "the rule");
}

}  // namespace
}  // namespace microemo::text
