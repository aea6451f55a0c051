#include "microemo/text/transcript.h"

#include <sys/stat.h>

#include "microemo/base/files.h"
#include "support/errors.h"

namespace microemo::text {
namespace {

using test::expect_error;

std::vector<Cue> parse(const std::string& text) { return parse_srt(text, "talk.srt"); }

/// The error of a transcript: kind data, with the file and the line.
Error expect_refused(const std::string& text, const std::string& message, int64_t line) {
  const Error error = expect_error(
      ErrorKind::data, [&] { parse(text); }, message);
  EXPECT_THAT(error.place(), ::testing::HasSubstr("talk.srt"));
  EXPECT_THAT(error.place(), ::testing::HasSubstr("line " + std::to_string(line)));
  EXPECT_FALSE(error.next_step().empty());
  return error;
}

constexpr auto two_cues = "1\n00:00:01,500 --> 00:00:03,250\nHello there.\n\n2\n01:00:04,000 --> 01:00:05,001\nSecond\n";

TEST(Transcript, ReadsTimesAndText) {
  const auto cues = parse(two_cues);
  ASSERT_EQ(cues.size(), 2u);
  EXPECT_DOUBLE_EQ(cues[0].start_s, 1.5);
  EXPECT_DOUBLE_EQ(cues[0].end_s, 3.25);
  EXPECT_EQ(cues[0].text, "Hello there.");
  EXPECT_DOUBLE_EQ(cues[1].start_s, 3604.0);
  EXPECT_DOUBLE_EQ(cues[1].end_s, 3605.001);
}

TEST(Transcript, KnowsTheLineOfEachCue) {
  const auto cues = parse(two_cues);
  EXPECT_EQ(cues[0].line, 2);
  EXPECT_EQ(cues[1].line, 6);
}

TEST(Transcript, AcceptsAByteOrderMark) { EXPECT_EQ(parse("\xEF\xBB\xBF" + std::string(two_cues)).size(), 2u); }

TEST(Transcript, AcceptsWindowsLineEnds) {
  const auto cues =
      parse("1\r\n00:00:01,000 --> 00:00:02,000\r\nOne\r\nline\r\n\r\n2\r\n00:00:03,000 --> 00:00:04,000\r\nTwo\r\n");
  ASSERT_EQ(cues.size(), 2u);
  EXPECT_EQ(cues[0].text, "One line");
}

TEST(Transcript, AcceptsAPointBeforeTheMilliseconds) {
  EXPECT_DOUBLE_EQ(parse("1\n00:00:01.250 --> 00:00:02.750\nx\n").at(0).end_s, 2.75);
}

TEST(Transcript, AcceptsMissingIndexLines) {
  const auto cues = parse("00:00:01,000 --> 00:00:02,000\nOne\n\n00:00:03,000 --> 00:00:04,000\nTwo\n");
  ASSERT_EQ(cues.size(), 2u);
  EXPECT_EQ(cues[1].text, "Two");
}

TEST(Transcript, AcceptsMissingEmptyLines) {
  const auto cues =
      parse("1\n00:00:01,000 --> 00:00:02,000\nOne\n2\n00:00:03,000 --> 00:00:04,000\nTwo\n00:00:05,000 --> 00:00:06,000\nThree");
  ASSERT_EQ(cues.size(), 3u);
  EXPECT_EQ(cues[0].text, "One");
  EXPECT_EQ(cues[1].text, "Two");
}

TEST(Transcript, KeepsALineOfDigitsThatIsSpoken) {
  EXPECT_EQ(parse("1\n00:00:01,000 --> 00:00:02,000\n1984\nwas a year\n").at(0).text, "1984 was a year");
}

TEST(Transcript, RemovesTagsAndJoinsLines) {
  const auto cues = parse("1\n00:00:01,000 --> 00:00:02,000\n{\\an8}<i>Really</i>?\n<font color=\"#fff\">No.</font>\n");
  EXPECT_EQ(cues.at(0).text, "Really? No.");
}

TEST(Transcript, KeepsSignsThatAreNoTags) {
  EXPECT_EQ(parse("1\n00:00:01,000 --> 00:00:02,000\nI <3 it, a < b > c {so}\n").at(0).text, "I <3 it, a < b > c {so}");
}

TEST(Transcript, AcceptsCoordinatesAfterTheTimes) {
  EXPECT_EQ(parse("1\n00:00:01,000 --> 00:00:02,000 X1:10 X2:20 Y1:3 Y2:4\nx\n").size(), 1u);
}

TEST(Transcript, KeepsACueWithoutText) {
  EXPECT_EQ(parse("1\n00:00:01,000 --> 00:00:02,000\n\n2\n00:00:03,000 --> 00:00:04,000\nx\n").at(0).text, "");
}

TEST(Transcript, KeepsCuesThatOverlap) {
  EXPECT_EQ(parse("00:00:01,000 --> 00:00:05,000\nx\n\n00:00:02,000 --> 00:00:03,000\ny\n").size(), 2u);
}

TEST(Transcript, AnEmptyFileHasNoCues) { EXPECT_TRUE(parse("\n\n  \n").empty()); }

TEST(Transcript, RefusesACueThatEndsBeforeItStarts) {
  expect_refused("1\n00:00:01,000 --> 00:00:02,000\nx\n\n2\n00:00:05,000 --> 00:00:04,000\ny\n",
                 "ends at 4.000 s and starts at 5.000 s", 6);
}

TEST(Transcript, RefusesACueWithoutLength) { expect_refused("1\n00:00:01,000 --> 00:00:01,000\nx\n", "ends at 1.000 s", 2); }

TEST(Transcript, RefusesTimesThatGoBackwards) {
  expect_refused("1\n00:00:03,000 --> 00:00:04,000\nx\n\n2\n00:00:01,000 --> 00:00:02,000\ny\n",
                 "before the one above it (3.000 s)", 6);
}

TEST(Transcript, RefusesTimesItCannotRead) {
  for (const char* times : {"00:00:01 --> 00:00:02,000", "00:61:01,000 --> 00:62:02,000", "1.5 --> 2.5", "00:00:01,000 --> later",
                            "-->", "00:00:01,000 --> 00:00:02,000 and more", "99999999999999999999:00:01,000 --> 00:00:02,000"})
    expect_refused("1\n" + std::string(times) + "\nx\n", "cannot read the times", 2);
}

TEST(Transcript, RefusesTextWithoutTimes) { expect_refused("This is a letter.\n", "expected the times of a cue", 1); }

TEST(Transcript, RefusesASecondParagraph) {
  expect_refused("1\n00:00:01,000 --> 00:00:02,000\nOne\n\nTwo\n", "found \"Two\"", 5);
}

TEST(Transcript, RefusesAnIndexAtTheEnd) { expect_refused("1\n00:00:01,000 --> 00:00:02,000\nOne\n\n2", "found \"2\"", 5); }

TEST(Transcript, RefusesTextThatIsNotUtf8) { expect_refused("1\n00:00:01,000 --> 00:00:02,000\nna\xEFve\n", "not UTF-8", 3); }

TEST(Transcript, RefusesOverlongAndSurrogateForms) {
  for (const char* bytes :
       {"\xC0\xAF", "\xE0\x80\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xF8\x88\x80\x80\x80", "\x80", "\xE2\x82"})
    expect_refused(std::string("1\n00:00:01,000 --> 00:00:02,000\n") + bytes + "\n", "not UTF-8", 3);
}

TEST(Transcript, ReadsALineOfAnyLength) {
  const std::string cue = "1\n00:00:01,000 --> 00:00:02,000\n", letters(200'000, 'y');
  EXPECT_EQ(parse(cue + "<i " + letters + "\n").at(0).text, "<i " + letters);
  EXPECT_EQ(parse(cue + "<i " + letters + ">x\n").at(0).text, "x");
  EXPECT_EQ(parse(cue + "{\\" + letters + "\n").at(0).text, "{\\" + letters);
  EXPECT_EQ(parse("1\n00:00:01,000 --> " + std::string(200'000, ' ') + "00:00:02,000\nx\n").size(), 1u);
}

TEST(Transcript, RemovesTagsInCapitalsAndWithClasses) {
  EXPECT_EQ(parse("1\n00:00:01,000 --> 00:00:02,000\n<I>a</I> <c.red>b</c> <bold>c</bold>\n").at(0).text, "a b <bold>c</bold>");
}

TEST(Transcript, RefusesCoordinatesThatAreNone) {
  for (const char* more : {" X3:1", " X1:", " X1:1Y1:2", " Z1:1", "X1:1"})
    expect_refused("1\n00:00:01,000 --> 00:00:02,000" + std::string(more) + "\nx\n", "cannot read the times", 2);
  EXPECT_EQ(parse("1\n00:00:01,000 --> 00:00:02,000 X1:-" + std::string(100, '9') + "\nx\n").size(), 1u);
}

TEST(Transcript, ShowsTheStartOfALongLineItCannotRead) {
  const Error error = expect_refused("1\n--> " + std::string(60'000, 'y') + "\n", "cannot read the times", 2);
  EXPECT_LT(error.message().size(), 200u);
}

TEST(Transcript, RefusesAPipeInsteadOfWaitingForIt) {
  const TemporaryFolder folder;
  const auto pipe = folder.path() / "talk.srt";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const Error error = expect_error(
      ErrorKind::data, [&] { read_srt(pipe); }, "not a regular file");
  EXPECT_EQ(error.place(), pipe.string());
  EXPECT_FALSE(error.next_step().empty());
}

TEST(Transcript, NamesAFileThatIsMissing) {
  expect_error(
      ErrorKind::data, [] { read_srt("no/such/talk.srt"); }, "no/such/talk.srt");
}

TEST(Transcript, ReadsBackWhatItFormats) {
  const std::vector<Cue> cues = {{0.0, 1.25, "One", 2}, {3599.999, 3600.5, "Two", 6}, {360000.0, 360001.0, "Naïve", 10}};
  const auto again = parse(format_srt(cues));
  ASSERT_EQ(again.size(), cues.size());
  for (size_t i = 0; i < cues.size(); ++i) {
    EXPECT_DOUBLE_EQ(again[i].start_s, cues[i].start_s);
    EXPECT_DOUBLE_EQ(again[i].end_s, cues[i].end_s);
    EXPECT_EQ(again[i].text, cues[i].text);
    EXPECT_EQ(again[i].line, cues[i].line);
  }
}

TEST(Transcript, FormatsAsSubRip) {
  EXPECT_EQ(format_srt({{1.5, 3661.25, "Hello", 0}}), "1\n00:00:01,500 --> 01:01:01,250\nHello\n\n");
}

}  // namespace
}  // namespace microemo::text
