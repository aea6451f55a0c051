// The names in a folder of pictures, and rates. No picture is read here.
#include "microemo/media/picture_folder.h"

#include <sys/stat.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "microemo/base/files.h"
#include "support/command.h"
#include "support/errors.h"

namespace microemo::media {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using Names = std::vector<std::string>;

/// Files of these names without a picture in them.
class PictureFolder : public testing::Test {
 protected:
  fs::path path() const { return folder_.path(); }
  void add(const Names& names) const {
    for (const std::string& name : names) write_file_atomic(path() / name, "");
  }
  Names ordered(const Names& names) const {
    add(names);
    Names found;
    for (const fs::path& file : picture_files(path())) found.push_back(file.filename().string());
    return found;
  }
  /// Refused with `part` of the message, at the place of `name`.
  void expect_refused(const Names& names, const std::string& part, const std::string& name) const {
    add(names);
    const Error error = test::expect_error(
        ErrorKind::data, [&] { picture_files(path()); }, part);
    EXPECT_THAT(error.message(), HasSubstr("the folder of pictures"));
    EXPECT_EQ(error.place(), (path() / name).string());
    EXPECT_FALSE(error.next_step().empty());
  }

 private:
  TemporaryFolder folder_;
};

TEST_F(PictureFolder, IsOrderedByTheNumbersInItsNames) {
  EXPECT_THAT(ordered({"img10.png", "img9.png", "img11.png", "img8.png"}),
              ElementsAre("img8.png", "img9.png", "img10.png", "img11.png"));
}

TEST_F(PictureFolder, MayFillItsNumbersWithZeros) {
  EXPECT_THAT(ordered({"0099.JPG", "0100.jpeg", "0098.jpg"}), ElementsAre("0098.jpg", "0099.JPG", "0100.jpeg"));
}

TEST_F(PictureFolder, CountsByTheOneNumberThatDiffers) {
  EXPECT_THAT(ordered({"S005_001_00000010_v2.png", "S005_001_00000009_v2.png"}),
              ElementsAre("S005_001_00000009_v2.png", "S005_001_00000010_v2.png"));
}

TEST_F(PictureFolder, MayHaveNumbersInParentheses) {
  EXPECT_THAT(ordered({"EP03_1(10).tiff", "EP03_1(9).tif"}), ElementsAre("EP03_1(9).tif", "EP03_1(10).tiff"));
}

TEST_F(PictureFolder, MayHoldASinglePicture) { EXPECT_THAT(ordered({"clip3_7.webp"}), ElementsAre("clip3_7.webp")); }

TEST_F(PictureFolder, MayHoldWhatSystemsLeaveBehind) {
  EXPECT_THAT(ordered({"1.bmp", ".DS_Store", "._1.bmp", ".hidden", "Thumbs.db", "thumbs.db", "desktop.ini"}),
              ElementsAre("1.bmp"));
}

TEST_F(PictureFolder, RefusesNumbersThatAreMissing) {
  expect_refused({"img1.png", "img2.png", "img4.png"}, "lacks number 3, between img2.png and img4.png", "img4.png");
}

TEST_F(PictureFolder, RefusesANumberTwice) {
  expect_refused({"6.png", "7.png", "07.png"}, "has the number 7 twice: 07.png and 7.png", "7.png");
}

TEST_F(PictureFolder, RefusesANumberTwiceWithAnotherEnding) {
  expect_refused({"a7.jpeg", "a7.jpg", "a8.jpg"}, "has a number twice: a7.jpeg and a7.jpg", "a7.jpg");
}

TEST_F(PictureFolder, RefusesTwoKinds) {
  expect_refused({"1.jpg", "2.jpg", "3.png"}, "holds pictures of two kinds: 1.jpg and 3.png", "3.png");
}

TEST_F(PictureFolder, RefusesWhatIsNoPicture) {
  expect_refused({"1.png", "2.png", "labels.csv"}, "holds something else: labels.csv is no picture", "labels.csv");
}

TEST_F(PictureFolder, RefusesPicturesOfAKindThatItDoesNotKnow) {
  expect_refused({"1.gif", "2.gif"}, "holds something else: 1.gif is no picture", "1.gif");
}

TEST_F(PictureFolder, RefusesAFolderInIt) {
  fs::create_directory(path() / "2.png");
  expect_refused({"1.png"}, "holds something else: 2.png is a folder", "2.png");
}

TEST_F(PictureFolder, RefusesAPipeInIt) {
  ASSERT_EQ(::mkfifo((path() / "2.png").c_str(), 0600), 0);
  expect_refused({"1.png"}, "holds something else: 2.png is no picture", "2.png");
}

TEST_F(PictureFolder, RefusesNamesWithoutANumber) {
  expect_refused({"a.png"}, "holds a picture without a number in its name: a.png", "a.png");
}

TEST_F(PictureFolder, RefusesANameWithoutANumberAmongOthers) {
  expect_refused({"1.png", "2.png", "cover.png"}, "holds a picture without a number in its name: cover.png", "cover.png");
}

TEST_F(PictureFolder, RefusesNamesThatDifferInTheirText) {
  expect_refused({"left1.png", "right2.png"}, "holds more than one series: left1.png and right2.png differ", "right2.png");
}

TEST_F(PictureFolder, RefusesNamesThatDifferInTwoNumbers) {
  expect_refused({"1_1.png", "1_2.png", "2_3.png"}, "holds more than one series: 1_1.png and 2_3.png differ", "2_3.png");
}

TEST_F(PictureFolder, RefusesNamesThatCountByTwoNumbers) {
  expect_refused({"1_1.png", "1_2.png", "2_1.png"}, "holds more than one series: 1_1.png and 2_1.png count", "2_1.png");
}

TEST_F(PictureFolder, RefusesNamesOfOtherParts) {
  expect_refused({"img1.png", "img2_3.png"}, "holds more than one series: img1.png and img2_3.png differ", "img2_3.png");
}

TEST_F(PictureFolder, RefusesNumbersBeyondCounting) {
  expect_refused({"1.png", "99999999999999999999.png"}, "has a number that is too large", "99999999999999999999.png");
}

TEST_F(PictureFolder, RefusesAnEmptyFolder) {
  const Error error = test::expect_error(
      ErrorKind::data, [&] { picture_files(path()); }, "the folder of pictures is empty");
  EXPECT_THAT(error.next_step(), HasSubstr(".png, .jpg"));
  EXPECT_EQ(error.place(), path().string());
  add({".DS_Store", "Thumbs.db"});
  test::expect_error(
      ErrorKind::data, [&] { picture_files(path()); }, "the folder of pictures is empty");
}

TEST_F(PictureFolder, RefusesWhatIsNoFolder) {
  add({"1.png"});
  test::expect_error(
      ErrorKind::data, [&] { picture_files(path() / "1.png"); }, "this is no folder of pictures");
  test::expect_error(
      ErrorKind::data, [&] { picture_files(path() / "nowhere"); }, "there is no such file or folder");
}

TEST(FrameRates, AreNumbersOrFractions) {
  EXPECT_EQ(frame_rate_of("25"), 25.0);
  EXPECT_EQ(frame_rate_of("29.97"), 29.97);
  EXPECT_EQ(frame_rate_of("30000/1001"), 30000.0 / 1001);
  EXPECT_EQ(frame_rate_of("1/1000"), least_frame_rate);
  EXPECT_EQ(frame_rate_of("1e4"), most_frame_rate);
}

TEST(FrameRates, AreNothingElse) {
  for (const char* text : {"",  "0",  "-25", "nan",   "inf",        "25 ",    " 25",   "25fps",       "1/0",   "0/0",
                           "/", "1/", "/2",  "1/2/3", "30000:1001", "0.0009", "10001", "-1/-1000000", "1e999", "0x19"})
    EXPECT_FALSE(frame_rate_of(text).has_value()) << text;
}

}  // namespace
}  // namespace microemo::media
