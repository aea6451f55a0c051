#include "microemo/report/overlay.h"

#include <gtest/gtest.h>

#include "support/errors.h"

namespace microemo::report {
namespace {

using media::Image;

Image plain(int width, int height, uint8_t value = 90) {
  return {width, height, 3, std::vector<uint8_t>(size_t(width) * size_t(height) * 3, value)};
}

struct Pixel {
  int red, green, blue;
  bool operator==(const Pixel&) const = default;
};

Pixel at(const Image& image, int x, int y) {
  const uint8_t* p = image.row(y) + 3 * x;
  return {p[0], p[1], p[2]};
}

constexpr Pixel watched{255, 220, 0}, other{120, 190, 255}, ground{24, 26, 28}, cursor{255, 255, 255};

/// Lines are smoothed.
bool is_nearly(const Pixel& a, const Pixel& b) {
  return std::abs(a.red - b.red) + std::abs(a.green - b.green) + std::abs(a.blue - b.blue) < 60;
}

Overlay dialogue() {
  return {10, {{1, 3, "hello"}, {4, 6, "\u4ED6\u5F88\u9AD8\u5174"}}, {{1, 3, "joy"}, {4, 6, "\u9AD8\u5174, surprise"}}};
}

media::Face face_at(double left, double top, double right, double bottom, int track) {
  media::Face face{{left, top, right, bottom}, 0.93, {}, track};
  for (size_t i = 0; i < face.landmarks.size(); ++i)
    face.landmarks[i] = {left + 10 + double(i % 10) * 6, top + 10 + double(i / 10) * 10};
  return face;
}

/// Columns of the bar's row that have the cursor's colour.
double cursor_column(const Image& image) {
  double sum = 0, count = 0;
  for (int x = 0; x < image.width; ++x)
    if (at(image, x, image.height - 30) == cursor) sum += x, ++count;
  return count > 0 ? sum / count : -1;
}

TEST(Overlay, LeavesThePictureAsItIsWhereThereIsNoFace) {
  const OverlayPainter painter(640, 360, dialogue());
  const Image page = painter.draw(plain(640, 360), 2, {}, -1);
  EXPECT_EQ(page.width, 640);
  for (int y = 0; y < 360; ++y)
    for (int x = 0; x < 640; ++x) ASSERT_EQ(at(page, x, y), (Pixel{90, 90, 90}));
  EXPECT_EQ(at(page, 0, 361), ground);
}

TEST(Overlay, DrawsBoxesPointsAndTagsOfTheWatchedFaceAndOfOthers) {
  const OverlayPainter painter(640, 360, dialogue());
  const Image page = painter.draw(plain(640, 360), 2, {face_at(100, 100, 200, 220, 3), face_at(400, 100, 500, 220, 5)}, 3);
  EXPECT_TRUE(is_nearly(at(page, 100, 160), watched));
  EXPECT_TRUE(is_nearly(at(page, 400, 160), other));
  EXPECT_TRUE(is_nearly(at(page, 110, 110), watched));
  EXPECT_TRUE(is_nearly(at(page, 410, 110), other));
  EXPECT_EQ(at(page, 101, 98), watched);  // the tag stands on the box
  EXPECT_EQ(at(page, 150, 215), (Pixel{90, 90, 90}));
}

TEST(Overlay, KeepsTagsInThePicture) {
  const OverlayPainter painter(640, 360, dialogue());
  const Image page = painter.draw(plain(640, 360), 2, {face_at(600, -40, 700, 90, 1), face_at(-50, 300, 60, 420, 2)}, -1);
  EXPECT_EQ(at(page, 638, 2), other);
  EXPECT_EQ(at(page, 1, 290), other);
  EXPECT_EQ(at(page, 0, 361), ground);
}

TEST(Overlay, MovesTheCursorWithTheTime) {
  const OverlayPainter painter(640, 360, dialogue());
  const double start = cursor_column(painter.draw(plain(640, 360), 0, {}, -1)),
               middle = cursor_column(painter.draw(plain(640, 360), 5, {}, -1)),
               end = cursor_column(painter.draw(plain(640, 360), 10, {}, -1)),
               beyond = cursor_column(painter.draw(plain(640, 360), 12, {}, -1));
  EXPECT_NEAR(middle, 320, 1.5);
  EXPECT_NEAR(middle - start, end - middle, 1.5);
  EXPECT_GT(middle - start, 280);
  EXPECT_EQ(end, beyond);
}

TEST(Overlay, ShowsWordsAndLabelsOfTheMomentAlone) {
  const OverlayPainter painter(640, 360, dialogue());
  const auto band_rows = [&](double seconds, const Overlay& overlay) {
    const Image page = OverlayPainter(640, 360, overlay).draw(plain(640, 360), seconds, {}, -1);
    int bright = 0;
    for (int y = 390; y < page.height - 45; ++y)
      for (int x = 0; x < page.width; ++x) bright += at(page, x, y).green > 120;
    return bright;
  };
  EXPECT_EQ(band_rows(0.5, dialogue()), 0);
  EXPECT_EQ(band_rows(3, dialogue()), 0);
  EXPECT_GT(band_rows(1, dialogue()), 50);
  EXPECT_GT(band_rows(4.5, dialogue()), 100);
  Overlay boxes = dialogue();
  boxes.words[1].text = "\U000F0000\U000F0000\U000F0000\U000F0000";
  EXPECT_NE(band_rows(4.5, boxes), band_rows(4.5, dialogue()));
}

TEST(Overlay, KeepsLongTextsInsideItsMargins) {
  Overlay overlay = dialogue();
  for (int i = 0; i < 200; ++i) overlay.words[0].text += " and so on";
  for (int i = 0; i < 200; ++i) overlay.labels[0].text += ", \u9AD8\u5174";
  const OverlayPainter painter(640, 360, overlay), shorter(640, 360, dialogue());
  EXPECT_EQ(painter.height(), shorter.height());
  const Image page = painter.draw(plain(640, 360), 2, {}, -1);
  for (int y = 361; y < page.height; ++y)
    for (int x : {2, 8, 632, 637}) ASSERT_EQ(at(page, x, y), ground) << x << ", " << y;
  for (int y = page.height - 6; y < page.height; ++y)
    for (int x = 0; x < page.width; ++x) ASSERT_EQ(at(page, x, y), ground);
}

TEST(Overlay, IsOfEvenSizeAndLegibleForEveryVideo) {
  for (const auto& [width, height] :
       {std::pair{64, 48}, {97, 61}, {320, 240}, {1921, 1081}, {1080, 1920}, {16, 2000}, {3840, 2160}, {2, 2}}) {
    const OverlayPainter painter(width, height, dialogue());
    EXPECT_EQ(painter.width() % 2, 0);
    EXPECT_EQ(painter.height() % 2, 0);
    EXPECT_GE(painter.width(), std::max(480, width));
    EXPECT_GT(painter.height(), height);
  }
  const OverlayPainter tiny(160, 120, dialogue());
  EXPECT_EQ(tiny.width(), 480);
  const Image page = tiny.draw(plain(160, 120), 2, {face_at(40, 40, 100, 100, 1)}, 1);
  EXPECT_TRUE(is_nearly(at(page, 120, 240), watched));
}

TEST(Overlay, HasNoRowsForTextsThatItDoesNotHave) {
  EXPECT_LT(OverlayPainter(640, 360, {10, {}, {}}).height(), OverlayPainter(640, 360, {10, dialogue().words, {}}).height());
  EXPECT_LT(OverlayPainter(640, 360, {10, dialogue().words, {}}).height(), OverlayPainter(640, 360, dialogue()).height());
}

TEST(Overlay, RefusesWhatCannotBeDrawn) {
  test::expect_error(
      ErrorKind::internal, [] { OverlayPainter(640, 360, {}); }, "an overlay of 0 s");
  test::expect_error(
      ErrorKind::internal, [] { OverlayPainter(0, 360, dialogue()); }, "frames of 0 x 360");
  Overlay backwards = dialogue();
  backwards.words[0].end_s = 0;
  test::expect_error(
      ErrorKind::internal, [&] { OverlayPainter(640, 360, backwards); }, "a text from 1 to 0 s");
  test::expect_error(
      ErrorKind::internal, [] { OverlayPainter(640, 360, dialogue()).draw(plain(320, 360), 0, {}, -1); }, "a frame of 320 x 360");
}

}  // namespace
}  // namespace microemo::report
