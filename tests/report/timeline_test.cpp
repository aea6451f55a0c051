#include "microemo/report/timeline.h"

#include "support/errors.h"

namespace microemo::report {
namespace {

using media::Image;

Image plain(int width, int height, uint8_t value) {
  return {width, height, 3, std::vector<uint8_t>(size_t(width) * height * 3, value)};
}

Timeline two_utterances() {
  Timeline timeline;
  timeline.title = "clip";
  timeline.duration_s = 4;
  for (int i = 0; i < 4; ++i) timeline.frames.push_back({i + 0.5, plain(64, 36, 10), plain(20, 20, 20)});
  timeline.face_times = {0, 1, 2, 3};
  timeline.face_found = {true, true, false, false};
  timeline.signals = {{"sound", {0, 2, 4}, {0, 1, 0}}};
  timeline.utterances = {{0.5, 1.5, "yes", {"joy"}, "The person feels joy."},
                         {2, 3.5, "no", {"anger", "worry"}, "Anger, worry."}};
  return timeline;
}

int64_t count(const Image& image, int red, int green, int blue) {
  int64_t found = 0;
  for (size_t i = 0; i < image.pixels.size(); i += 3)
    found += image.pixels[i] == red && image.pixels[i + 1] == green && image.pixels[i + 2] == blue;
  return found;
}

TEST(Timeline, IsAsWideAsPromisedAndStartsWhite) {
  const Image image = draw_timeline(two_utterances());
  EXPECT_EQ(image.width, 1600);
  EXPECT_EQ(image.channels, 3);
  EXPECT_EQ(image.pixels[0], 255);
}

TEST(Timeline, ShowsEveryFrameAndFace) {
  const Image image = draw_timeline(two_utterances());
  const int64_t cell = 1360 / 4 - 6;
  EXPECT_EQ(count(image, 10, 10, 10), 4 * cell * (cell * 36 / 64));
  EXPECT_EQ(count(image, 20, 20, 20), 4 * 150 * 150);
}

TEST(Timeline, MarksTheShareOfTimeInWhichAFaceWasFound) {
  Timeline timeline = two_utterances();
  timeline.utterances.clear();
  const int64_t half = count(draw_timeline(timeline), 0, 158, 115);
  timeline.face_found = {true, true, true, true};
  EXPECT_EQ(count(draw_timeline(timeline), 0, 158, 115), 2 * half);
  EXPECT_EQ(half, 680 * 16);
}

TEST(Timeline, GivesALongerUtteranceAWiderBar) {
  Timeline timeline = two_utterances();
  timeline.utterances = {{0, 1, "", {}, ""}};
  const int64_t narrow = count(draw_timeline(timeline), 0, 114, 178);
  timeline.utterances[0].end_s = 2;
  EXPECT_EQ(count(draw_timeline(timeline), 0, 114, 178) - narrow, 340 * 40);
}

TEST(Timeline, GrowsWithTheAnswerAndLosesNoneOfIt) {
  Timeline timeline = two_utterances();
  const int before = draw_timeline(timeline).height;
  for (int i = 0; i < 100; ++i) timeline.utterances[1].answer += " and so on";
  EXPECT_GT(draw_timeline(timeline).height, before + 100);
}

TEST(Timeline, SaysWhenALetterCannotBeDrawn) {
  Timeline timeline = two_utterances();
  const int before = draw_timeline(timeline).height;
  timeline.utterances[0].words = "\u9AD8\u5174";
  EXPECT_EQ(draw_timeline(timeline).height, before);
  timeline.utterances[0].words = "\U0001F600";
  EXPECT_EQ(draw_timeline(timeline).height, before + 30);
}

TEST(Timeline, DrawsChineseWords) {
  Timeline timeline = two_utterances();
  timeline.utterances[0].words = "\u9AD8\u5174";
  const Image happy = draw_timeline(timeline);
  timeline.utterances[0].words = "\u6124\u6012";
  EXPECT_NE(draw_timeline(timeline).pixels, happy.pixels);
}

TEST(Timeline, BreaksALongRemarkIntoLines) {
  Timeline timeline = two_utterances();
  const int before = draw_timeline(timeline).height;
  timeline.remarks = {std::string(3000, 'w')};
  EXPECT_GT(draw_timeline(timeline).height, before + 10 * 30);
}

TEST(Timeline, TakesBytesThatAreNoText) {
  Timeline timeline = two_utterances();
  for (const char* bytes : {"\xFF", "\xC3", "\xE5\xA5", "\xF0\x9F\x98", "\x80\x80", "\xC0\xAF"}) {
    timeline.utterances[0].words = bytes;
    EXPECT_GT(draw_timeline(timeline).height, 100);
  }
}

TEST(Timeline, MakesARemarkOnce) {
  Timeline timeline = two_utterances();
  const int before = draw_timeline(timeline).height;
  timeline.remarks = {"an answer has no end", "no sound", "an answer has no end", "an answer has no end"};
  EXPECT_EQ(draw_timeline(timeline).height, before + 2 * 30);
}

TEST(Timeline, DoesNotFillThePageWithOneFrame) {
  Timeline timeline = two_utterances();
  timeline.frames = {{0.5, plain(90, 160, 10), {}}};
  const Image image = draw_timeline(timeline);
  EXPECT_EQ(count(image, 10, 10, 10), 180 * 320);
  EXPECT_LT(image.height, 1000);
}

TEST(Timeline, FindsNoFaceInAGap) {
  Timeline timeline = two_utterances();
  timeline.utterances.clear();
  timeline.duration_s = 100'000;
  timeline.face_times = {0, 1, 99'999};
  timeline.face_found = {true, true, true};
  EXPECT_LT(count(draw_timeline(timeline), 0, 158, 115), 3 * 16);
}

TEST(Timeline, KeepsEveryTickOnThePage) {
  Timeline timeline = two_utterances();
  timeline.duration_s = 100'000;
  const Image image = draw_timeline(timeline);
  for (int y = 0; y < image.height; ++y)
    for (int x = 1570; x < 1600; ++x) ASSERT_EQ(image.row(y)[3 * x], 255) << x << ", " << y;
}

TEST(Timeline, DrawsAClipWithoutPictureSoundOrUtterances) {
  Timeline timeline;
  timeline.title = "silence";
  timeline.duration_s = 1;
  timeline.remarks = {"no picture in this file"};
  EXPECT_GT(draw_timeline(timeline).height, 100);
}

TEST(Timeline, RefusesAClipWithoutDuration) {
  Timeline timeline = two_utterances();
  timeline.duration_s = 0;
  test::expect_error(
      ErrorKind::internal, [&] { draw_timeline(timeline); }, "a timeline of 0 s");
}

TEST(Timeline, RefusesFaceTimesWithoutValues) {
  Timeline timeline = two_utterances();
  timeline.face_found.pop_back();
  test::expect_error(
      ErrorKind::internal, [&] { draw_timeline(timeline); }, "4 face times and 3 values");
}

TEST(Timeline, RefusesASignalWithoutValues) {
  Timeline timeline = two_utterances();
  timeline.signals[0].values.clear();
  test::expect_error(
      ErrorKind::internal, [&] { draw_timeline(timeline); }, "signal sound has 3 times and 0 values");
}

}  // namespace
}  // namespace microemo::report
