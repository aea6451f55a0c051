#include "microemo/report/face_sheet.h"

#include <gtest/gtest.h>

#include "media/clips.h"
#include "support/errors.h"

namespace microemo::report {
namespace {

constexpr int row = 34 + 8 + 128 + 22 + 8;  // heading, gap, crop, caption, gap

/// Points that a face has, turned by nothing and 60 pixels wide.
media::Face face_at(double x, double y, int track) {
  media::Face face{{x, y, x + 60, y + 60}, 0.8, {}, track};
  for (size_t i = 0; i < face.landmarks.size(); ++i) face.landmarks[i] = {x + 30, y + 30};
  const auto place = [&](size_t point, double dx, double dy) { face.landmarks[point] = {x + dx, y + dy}; };
  place(36, 10, 20), place(39, 22, 20), place(42, 38, 20), place(45, 50, 20);
  place(27, 30, 20), place(28, 30, 26), place(29, 30, 32), place(30, 30, 38);
  return face;
}

struct FaceSheets : testing::Test {
  test::Clips clips;
  std::filesystem::path video = clips.make("a.mp4");
};

TEST_F(FaceSheets, HaveARowOfCropsForEveryTrack) {
  std::vector<std::vector<media::Face>> faces(50);
  for (size_t i = 0; i < 50; ++i) faces[i].push_back(face_at(20, 20, 0));
  const media::Image one = draw_face_sheet(video, faces, 8);
  for (size_t i = 10; i < 13; ++i) faces[i].push_back(face_at(80, 40, 7));
  const media::Image two = draw_face_sheet(video, faces, 8);
  EXPECT_EQ(one.width, 8 * 136 + 8);
  EXPECT_EQ(one.height, row);
  EXPECT_EQ(two.height, 2 * row);
}

TEST_F(FaceSheets, ShowMoreCropsWhenMoreAreAskedFor) {
  const std::vector<std::vector<media::Face>> faces(50, {face_at(20, 20, 0)});
  EXPECT_EQ(draw_face_sheet(video, faces, 24).height, row + 2 * (128 + 22 + 8));
  EXPECT_EQ(draw_face_sheet(video, faces, 1000).height, row + 6 * (128 + 22 + 8));
}

TEST_F(FaceSheets, ShowTheAlignedCropOfTheFrame) {
  std::vector<std::vector<media::Face>> faces(50);
  faces[3].push_back(face_at(20, 20, 0));
  const media::Image left = draw_face_sheet(video, faces, 8);
  faces[3] = {face_at(80, 40, 0)};
  const media::Image right = draw_face_sheet(video, faces, 8);
  EXPECT_EQ(left.height, right.height);
  EXPECT_NE(left.pixels, right.pixels);
}

TEST_F(FaceSheets, SayThatThereIsNoFace) {
  const media::Image page = draw_face_sheet(video, std::vector<std::vector<media::Face>>(50), 24);
  EXPECT_EQ(page.height, 68);
  EXPECT_GT(std::ranges::count(page.pixels, 255), 50);
}

TEST_F(FaceSheets, RefuseAVideoThatCannotBeRead) {
  const std::vector<std::vector<media::Face>> faces(50, {face_at(20, 20, 0)});
  test::expect_error(
      ErrorKind::data, [&] { draw_face_sheet(clips.path("none.mp4"), faces, 8); }, "none.mp4");
  test::expect_error(
      ErrorKind::data, [&] { draw_face_sheet(clips.write("words.mp4", "words"), faces, 8); }, "words.mp4");
}

}  // namespace
}  // namespace microemo::report
