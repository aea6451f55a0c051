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

struct FacePages : FaceSheets {
  static std::vector<std::vector<media::Face>> crowd(int count) {
    std::vector<media::Face> faces;
    for (int i = 0; i < count; ++i) faces.push_back(face_at(20 * (i % 5), 20 * (i / 5), i));
    return std::vector<std::vector<media::Face>>(50, faces);
  }
  media::Image page(const std::vector<std::vector<media::Face>>& faces, int frames = 8) const {
    return draw_face_page(video, faces, watched_of(faces), frames);
  }
  static WatchedFaces watched_of(const std::vector<std::vector<media::Face>>& faces) {
    WatchedFaces watched;
    for (const auto& frame : faces) watched.push_back(frame.empty() ? std::nullopt : std::optional(frame.front()));
    return watched;
  }
};

TEST_F(FacePages, HaveTheFramesAboveTheTracks) {
  for (const int count : {1, 3, 12}) {
    SCOPED_TRACE(count);
    const auto faces = crowd(count);
    const media::Image all = page(faces), tracks = draw_face_sheet(video, faces, 8, watched_of(faces));
    EXPECT_EQ(all.width, tracks.width);
    const std::vector<uint8_t> lower(all.pixels.end() - std::ptrdiff_t(tracks.pixels.size()), all.pixels.end());
    EXPECT_EQ(lower, tracks.pixels);
  }
}

TEST_F(FacePages, MarkTheWatchedFaceInYellowAndOthersInBlue) {
  const auto count = [](const media::Image& image, int rows, std::array<int, 3> color) {
    int64_t found = 0;
    for (int y = 34; y < rows; ++y)
      for (int x = 0; x < image.width; ++x)
        found += image.row(y)[3 * x] == color[0] && image.row(y)[3 * x + 1] == color[1] && image.row(y)[3 * x + 2] == color[2];
    return found;
  };
  const auto one = page(crowd(1)), two = page(crowd(2));
  const int rows = one.height - draw_face_sheet(video, crowd(1), 8).height;
  EXPECT_GT(count(one, rows, {255, 220, 0}), 100);
  EXPECT_EQ(count(one, rows, {120, 190, 255}), 0);
  EXPECT_GT(count(two, rows, {120, 190, 255}), 100);
}

TEST_F(FacePages, TheHeadingOfATrackThatIsNeverWatchedIsBlue) {
  const auto faces = crowd(2);
  const media::Image told = draw_face_sheet(video, faces, 8, watched_of(faces)), untold = draw_face_sheet(video, faces, 8);
  const auto has_blue = [](const media::Image& image, int from, int to) {
    for (int y = from; y < to; ++y)
      for (int x = 0; x < image.width; ++x)
        if (image.row(y)[3 * x + 2] > 200 && image.row(y)[3 * x] < 150) return true;
    return false;
  };
  EXPECT_FALSE(has_blue(told, 0, 34));
  EXPECT_TRUE(has_blue(told, row, row + 34));
  EXPECT_FALSE(has_blue(untold, row, row + 34));
}

TEST_F(FacePages, ShowAsManyFramesAsAreAskedFor) {
  const auto faces = crowd(1);
  const auto frames_height = [&](int frames) {
    return page(faces, frames).height - draw_face_sheet(video, faces, frames).height;
  };
  const int row_height = (frames_height(8) - frames_height(4));
  EXPECT_EQ(frames_height(12), frames_height(8) + row_height);
  EXPECT_EQ(frames_height(1000), frames_height(52)) << "the clip has 50 frames";
}

TEST_F(FacePages, OfAClipWithoutAFaceSayIt) {
  const media::Image none = page(std::vector<std::vector<media::Face>>(50));
  EXPECT_GT(none.height, 68);
}

}  // namespace
}  // namespace microemo::report
