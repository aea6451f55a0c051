#include "microemo/media/image.h"

#include <fstream>

#include <gtest/gtest.h>

#include "media.h"
#include "microemo/base/files.h"
#include "support/errors.h"

namespace microemo::media {
namespace {

using test::expect_error;

Image gradient(int width, int height, int channels) {
  Image image{width, height, channels, {}};
  for (int i = 0; i < width * height * channels; ++i) image.pixels.push_back(uint8_t(i * 7 % 251));
  return image;
}

std::filesystem::path written(const TemporaryFolder& folder, const std::string& name, const std::string& content) {
  std::ofstream(folder.path() / name, std::ios::binary) << content;
  return folder.path() / name;
}

TEST(Images, PngKeepsEveryPixel) {
  const TemporaryFolder folder;
  for (const int channels : {1, 3}) {
    const Image image = gradient(37, 21, channels);
    write_png(folder.path() / "a.png", image);
    const Image read = read_image(folder.path() / "a.png");
    ASSERT_EQ(read.width, 37);
    ASSERT_EQ(read.height, 21);
    ASSERT_EQ(read.channels, 3);
    for (int i = 0; i < 37 * 21 * 3; ++i) ASSERT_EQ(read.pixels[i], image.pixels[channels == 3 ? i : i / 3]);
  }
}

TEST(Images, SamePictureGivesTheSamePngBytes) {
  const TemporaryFolder folder;
  write_png(folder.path() / "a.png", gradient(64, 48, 3));
  write_png(folder.path() / "b.png", gradient(64, 48, 3));
  EXPECT_EQ(read_file(folder.path() / "a.png"), read_file(folder.path() / "b.png"));
}

TEST(Images, JpegIsReadAsFfmpegReadsIt) {
  const auto photograph = test::test_media("grace_hopper_512x512.jpg");
  if (!photograph) GTEST_SKIP() << test::no_test_media("grace_hopper_512x512.jpg");
  const TemporaryFolder folder;
  const auto raw = folder.path() / "raw.rgb";
  test::ffmpeg({"-i", photograph->string(), "-f", "rawvideo", "-pix_fmt", "rgb24", raw.string()});
  const std::string expected = read_file(raw);
  const Image read = read_image(*photograph);
  ASSERT_EQ(read.pixels.size(), expected.size());
  double difference = 0;
  for (size_t i = 0; i < expected.size(); ++i) difference += std::abs(int(read.pixels[i]) - int(uint8_t(expected[i])));
  EXPECT_LT(difference / expected.size(), 1.0);
}

TEST(Images, TurnedPhotographsComeUpright) {
  const TemporaryFolder folder;
  const auto upright = folder.path() / "a.png", turned = folder.path() / "a.jpg";
  test::ffmpeg({"-f", "lavfi", "-i", "testsrc=size=64x32", "-frames:v", "1", upright.string()});
  test::ffmpeg({"-i", upright.string(), "-q:v", "1", turned.string()});
  // Orientation 6 (turn by 90 degrees clockwise to look at it) as a minimal EXIF segment after the start-of-image marker.
  const std::string exif(
      "\xff\xe1\x00\x22"
      "Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0",
      36);
  std::string bytes = read_file(turned);
  bytes.insert(2, exif);
  const Image read = read_image(written(folder, "b.jpg", bytes));
  EXPECT_EQ(read.width, 32);
  EXPECT_EQ(read.height, 64);
}

TEST(Images, RefusesAMissingFile) {
  expect_error(
      ErrorKind::data, [] { read_image("/nowhere/a.png"); }, "/nowhere/a.png");
}

TEST(Images, RefusesAnEmptyFile) {
  const TemporaryFolder folder;
  expect_error(
      ErrorKind::data, [&] { read_image(written(folder, "a.png", "")); }, "a.png");
}

TEST(Images, RefusesText) {
  const TemporaryFolder folder;
  expect_error(
      ErrorKind::data, [&] { read_image(written(folder, "a.jpg", "this is no picture\n")); }, "as a picture");
}

TEST(Images, RefusesATruncatedPng) {
  const TemporaryFolder folder;
  write_png(folder.path() / "a.png", gradient(64, 48, 3));
  const std::string bytes = read_file(folder.path() / "a.png");
  expect_error(
      ErrorKind::data, [&] { read_image(written(folder, "b.png", bytes.substr(0, bytes.size() / 2))); }, "b.png");
}

TEST(Images, RefusesAVideoPosingAsAPicture) {
  const TemporaryFolder folder;
  test::ffmpeg({"-f", "lavfi", "-i", "testsrc=size=64x64:duration=0.2", (folder.path() / "a.mp4").string()});
  std::filesystem::rename(folder.path() / "a.mp4", folder.path() / "a.png");
  expect_error(
      ErrorKind::data, [&] { read_image(folder.path() / "a.png"); }, "as a picture");
}

TEST(Images, PngIntoAMissingPlaceSaysWhere) {
  const TemporaryFolder folder;
  const auto blocked = written(folder, "file", "x") / "a.png";
  expect_error(
      ErrorKind::environment, [&] { write_png(blocked, gradient(4, 4, 3)); }, "/file");
}

TEST(Images, RefusesToWriteAPngUnderAnotherName) {
  const TemporaryFolder folder;
  for (const char* name : {"a.jpg", "a", "png", ".png"}) {
    const auto error = expect_error(
        ErrorKind::config, [&] { write_png(folder.path() / name, gradient(4, 4, 3)); }, name);
    EXPECT_NE(error.next_step(), "");
    EXPECT_FALSE(std::filesystem::exists(folder.path() / name));
  }
  write_png(folder.path() / "a.PNG", gradient(4, 4, 3));
}

TEST(Images, ShrinkingAverages) {
  Image image{4, 2, 1, {0, 100, 10, 20, 100, 200, 30, 40}};
  const Image small = resize(image, 2, 1);
  EXPECT_EQ(small.pixels, (std::vector<uint8_t>{100, 25}));
}

TEST(Images, GrayIsLumaOfRec601) {
  const Image gray = to_gray({3, 1, 3, {255, 0, 0, 0, 255, 0, 0, 0, 255}});
  EXPECT_EQ(gray.pixels, (std::vector<uint8_t>{76, 150, 29}));
}

TEST(Images, PastingIsClippedAtEveryBorder) {
  Image image{3, 3, 1, std::vector<uint8_t>(9)};
  const Image patch{2, 2, 1, {1, 2, 3, 4}};
  paste(image, patch, -1, -1);
  paste(image, patch, 2, 2);
  paste(image, patch, 10, 0);
  EXPECT_EQ(image.pixels, (std::vector<uint8_t>{4, 0, 0, 0, 0, 0, 0, 0, 1}));
}

TEST(Images, FilledBoxesAreClipped) {
  Image image{4, 2, 1, std::vector<uint8_t>(8)};
  fill_box(image, 2, -5, 99, 1, {255, 255, 255});
  EXPECT_EQ(image.pixels, (std::vector<uint8_t>{0, 0, 255, 255, 0, 0, 0, 0}));
}

TEST(Images, DrawingOutsideLeavesThePictureAsItWas) {
  const Image before = gradient(16, 16, 3);
  Image image = before;
  draw_box(image, 100, 100, 120, 120, {255, 0, 0});
  draw_dot(image, {-50, -50}, 3, {255, 0, 0});
  draw_line(image, {-5, -5}, {-5, 40}, {255, 0, 0});
  EXPECT_EQ(image.pixels, before.pixels);
}

TEST(Images, ContactSheetHoldsEveryCellInRows) {
  const Image red{8, 6, 3, [] {
                    std::vector<uint8_t> pixels(8 * 6 * 3);
                    for (size_t i = 0; i < pixels.size(); i += 3) pixels[i] = 255;
                    return pixels;
                  }()};
  const Image sheet = contact_sheet({{red, ""}, {red, ""}, {red, ""}}, 2);
  int64_t red_pixels = 0;
  for (size_t i = 0; i < sheet.pixels.size(); i += 3) red_pixels += sheet.pixels[i] == 255 && sheet.pixels[i + 1] == 0;
  EXPECT_EQ(red_pixels, 3 * 8 * 6);
}

TEST(Images, ContactSheetKeepsALongCaptionUnderItsOwnCell) {
  const Image black{40, 10, 3, std::vector<uint8_t>(40 * 10 * 3)};
  const Image sheet = contact_sheet({{black, "a caption that is far too long"}, {black, ""}}, 2);
  for (int y = 0; y < sheet.height; ++y)
    for (int x = 8 + 40; x < sheet.width; ++x) ASSERT_LT(sheet.row(y)[3 * x], 30) << x << ", " << y;
}

TEST(Images, ContactSheetOfNothingIsAMistake) {
  expect_error(
      ErrorKind::internal, [] { contact_sheet({}, 3); }, "contact sheet");
}

}  // namespace
}  // namespace microemo::media
