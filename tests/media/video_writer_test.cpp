#include "microemo/media/video_writer.h"

#include <cmath>
#include <optional>

#include <gtest/gtest.h>

#include "clips.h"
#include "microemo/media/video_reader.h"
#include "support/errors.h"

namespace microemo::media {
namespace {

using test::expect_error;

constexpr int width = 96, height = 64, frame_count = 40;

Image frame_at(int index) {
  Image image{width, height, 3, {}};
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < 3; ++c)
        image.pixels.push_back(uint8_t(128 + 90 * std::sin((x + 2 * index) / 11.0 + c) * std::cos(y / 9.0)));
  return image;
}

Sound tone() {
  Sound sound;
  for (int i = 0; i < 25600; ++i) sound.samples.push_back(float(0.4 * std::sin(i * 0.2)));
  return sound;
}

VideoWriterOptions options(bool sound = true) {
  VideoWriterOptions result;
  result.width = width;
  result.height = height;
  result.crf = 12;
  result.sound = sound;
  return result;
}

void write_clip(const std::filesystem::path& path, bool sound = true) {
  VideoWriter writer(path, options(sound));
  for (int i = 0; i < frame_count; ++i) writer.add(frame_at(i));
  if (sound) writer.add_sound(tone());
  writer.finish();
}

TEST(WrittenVideo, ReadsBackAsItWas) {
  const TemporaryFolder folder;
  write_clip(folder.path() / "a.mp4");
  VideoReader reader(folder.path() / "a.mp4");
  for (int i = 0; i < frame_count; ++i) {
    const auto frame = reader.next();
    ASSERT_TRUE(frame.has_value()) << i;
    EXPECT_NEAR(frame->seconds, i / 25.0, 1e-9);
    const Image expected = frame_at(i);
    double difference = 0;
    for (size_t p = 0; p < expected.pixels.size(); ++p)
      difference += std::abs(int(expected.pixels[p]) - int(frame->rgb.pixels[p]));
    EXPECT_LT(difference / double(expected.pixels.size()), 6) << i;
  }
  EXPECT_FALSE(reader.next().has_value());
}

TEST(WrittenVideo, KeepsItsSoundAtItsTime) {
  const TemporaryFolder folder;
  write_clip(folder.path() / "a.mp4");
  const Sound expected = tone(), sound = read_sound(folder.path() / "a.mp4");
  EXPECT_NEAR(sound.start_s, 0, 1e-9);
  ASSERT_GE(sound.samples.size(), expected.samples.size());
  EXPECT_LT(sound.samples.size(), expected.samples.size() + 1024);
  double error = 0;
  for (size_t i = 2000; i < 24000; ++i) error += std::pow(double(sound.samples[i]) - expected.samples[i], 2) / 22000;
  EXPECT_LT(std::sqrt(error), 0.02);
}

TEST(WrittenVideo, HasTheSameBytesForTheSameInput) {
  const TemporaryFolder folder;
  write_clip(folder.path() / "a.mp4");
  write_clip(folder.path() / "b.mp4");
  EXPECT_EQ(read_file(folder.path() / "a.mp4"), read_file(folder.path() / "b.mp4"));
}

TEST(WrittenVideo, MayHaveNoSound) {
  const TemporaryFolder folder;
  write_clip(folder.path() / "a.mp4", false);
  EXPECT_FALSE(probe(folder.path() / "a.mp4").has_audio);
}

TEST(WrittenVideo, AppearsOnlyWhenItIsFinished) {
  const TemporaryFolder folder;
  {
    VideoWriter writer(folder.path() / "a.mp4", options());
    writer.add(frame_at(0));
    EXPECT_FALSE(std::filesystem::exists(folder.path() / "a.mp4"));
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(WrittenVideo, LeavesTheOldFileWhenItIsGivenUp) {
  const test::Clips clips;
  const auto path = clips.write("a.mp4", "old");
  std::optional<VideoWriter>(std::in_place, path, options())->add(frame_at(0));
  EXPECT_EQ(read_file(path), "old");
}

TEST(WrittenVideo, IntoAnImpossiblePlaceIsRefused) {
  const test::Clips clips;
  const auto path = clips.write("file", "x") / "a.mp4";
  expect_error(
      ErrorKind::environment, [&] { VideoWriter writer(path, options()); }, "/file");
}

TEST(WrittenVideo, OfOddSizeIsAMistake) {
  const TemporaryFolder folder;
  VideoWriterOptions odd = options();
  odd.width = 97;
  expect_error(
      ErrorKind::internal, [&] { VideoWriter writer(folder.path() / "a.mp4", odd); }, "even sizes");
}

TEST(WrittenVideo, WithAFrameOfAnotherSizeIsAMistake) {
  const TemporaryFolder folder;
  VideoWriter writer(folder.path() / "a.mp4", options());
  expect_error(
      ErrorKind::internal, [&] { writer.add(resize(frame_at(0), 48, 32)); }, "48 x 32");
}

TEST(WrittenVideo, WithSoundOfAnotherRateIsAMistake) {
  const TemporaryFolder folder;
  VideoWriter writer(folder.path() / "a.mp4", options());
  Sound sound = tone();
  sound.rate = 22050;
  expect_error(
      ErrorKind::internal, [&] { writer.add_sound(sound); }, "22050 Hz");
}

TEST(WrittenVideo, WithoutAFrameIsAMistake) {
  const TemporaryFolder folder;
  VideoWriter writer(folder.path() / "a.mp4", options(false));
  expect_error(
      ErrorKind::internal, [&] { writer.finish(); }, "without a frame");
}

TEST(WrittenVideo, WithoutTheSoundItAnnouncedIsAMistake) {
  const TemporaryFolder folder;
  VideoWriter writer(folder.path() / "a.mp4", options());
  writer.add(frame_at(0));
  expect_error(
      ErrorKind::internal, [&] { writer.finish(); }, "never added");
}

}  // namespace
}  // namespace microemo::media
