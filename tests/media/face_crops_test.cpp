#include "microemo/media/face_crops.h"

#include <gtest/gtest.h>

#include "clips.h"
#include "microemo/formats/npy.h"
#include "support/errors.h"

namespace microemo::media {
namespace {

Image crop_of(int size, uint8_t red, uint8_t green, uint8_t blue) {
  Image crop{size, size, 3, {}};
  for (int i = 0; i < size * size; ++i) crop.pixels.insert(crop.pixels.end(), {red, green, blue});
  return crop;
}

formats::NpyArray bytes_of(std::vector<int64_t> shape) {
  formats::NpyArray array;
  array.kind = formats::NpyKind::unsigned_integer;
  array.item_bytes = 1;
  array.shape = std::move(shape);
  array.bytes.assign(size_t(array.size()), '\1');
  return array;
}

TEST(FaceCrops, ComeBackAsTheyWereWritten) {
  const test::Clips clips;
  const std::vector<Image> crops = {crop_of(112, 200, 100, 50), {}, crop_of(112, 1, 0, 0)};
  write_face_crops(clips.path("crops.npy"), crops, 112);
  const auto again = read_face_crops(clips.path("crops.npy"));
  ASSERT_EQ(again.size(), 3u);
  EXPECT_EQ(again[0].pixels, crops[0].pixels);
  EXPECT_TRUE(again[1].pixels.empty());
  EXPECT_EQ(again[2].pixels, crops[2].pixels);
}

TEST(FaceCrops, AreBytesInTheOrderBlueGreenRed) {
  const test::Clips clips;
  write_face_crops(clips.path("crops.npy"), {crop_of(112, 200, 100, 50)}, 112);
  const formats::NpyArray array = formats::read_npy(clips.path("crops.npy"));
  EXPECT_EQ(array.describe(), "uint8 [1, 112, 112, 3]");
  EXPECT_EQ(array.bytes.substr(0, 3), std::string("\x32\x64\xc8"));
}

TEST(FaceCrops, OfAnotherShapeOrTypeAreRefused) {
  const test::Clips clips;
  const auto refused = [&](const formats::NpyArray& array, const std::string& message) {
    formats::write_npy(clips.path("crops.npy"), array);
    test::expect_error(
        ErrorKind::data, [&] { read_face_crops(clips.path("crops.npy")); }, message);
  };
  refused(bytes_of({2, 112, 112}), "another shape");
  refused(bytes_of({2, 112, 112, 1}), "another shape");
  refused(bytes_of({2, 112, 224, 3}), "another shape");
  refused(bytes_of({2, 3, 112, 112}), "another shape");
  refused(bytes_of({1, 2, 112, 112, 3}), "another shape");
  refused(bytes_of({0, 112, 112, 3}), "empty");
  refused(bytes_of({1, 8, 8, 3}), "side");
  refused(bytes_of({1, 1025, 1025, 3}), "side");
  refused(formats::make_npy(std::vector<float>(16 * 16 * 3), {1, 16, 16, 3}), "float32 [1, 16, 16, 3]");
  refused(formats::make_npy(std::vector<int64_t>(16 * 16 * 3), {1, 16, 16, 3}), "int64");
}

TEST(FaceCrops, ThatAreNoArrayAreRefused) {
  const test::Clips clips;
  for (const std::string content : {"", "text", "\x93NUMPY"})
    test::expect_error(
        ErrorKind::data, [&] { read_face_crops(clips.write("crops.npy", content)); }, "crops.npy");
  test::expect_error(
      ErrorKind::data, [&] { read_face_crops(clips.path("missing.npy")); }, "missing.npy");
}

TEST(FaceCrops, AreWrittenUnderTheRightNameAlone) {
  test::expect_error(
      ErrorKind::config, [] { write_face_crops("crops.png", {}, 112); }, "crops.png");
}

TEST(FaceCrops, OfTwoSizesAreAMistake) {
  const test::Clips clips;
  test::expect_error(
      ErrorKind::internal,
      [&] {
        write_face_crops(clips.path("crops.npy"), {crop_of(112, 1, 1, 1), crop_of(64, 1, 1, 1)}, 112);
      },
      "64 x 64");
}

}  // namespace
}  // namespace microemo::media
