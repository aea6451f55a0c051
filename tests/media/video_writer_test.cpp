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

/// What the muxer of a hash prints about a file's packets of sound.
std::vector<std::string> sound_packets(const std::filesystem::path& path) {
  return test::lines_of({"ffmpeg", "-v", "error", "-i", path.string(), "-map", "0:a", "-c", "copy", "-f", "md5", "-"});
}

/// A frame in each of 50 seconds / 25.
void write_with_sound_of(const std::filesystem::path& path, const std::filesystem::path& source) {
  VideoWriterOptions copying = options(false);
  copying.sound_of = source;
  VideoWriter writer(path, copying);
  for (int i = 0; i < 50; ++i) writer.add(frame_at(i));
  writer.finish();
}

TEST(WrittenVideo, KeepsTimesThatAreNotEven) {
  const TemporaryFolder folder;
  VideoWriterOptions uneven = options(false);
  uneven.time_base_den = 1000;
  const std::vector<int64_t> times = {0, 40, 41, 100, 333, 350, 1200};
  VideoWriter writer(folder.path() / "a.mp4", uneven);
  for (size_t i = 0; i < times.size(); ++i)
    writer.add(frame_at(int(i)), times[i], i + 1 < times.size() ? times[i + 1] - times[i] : 77);
  writer.finish();
  VideoReader reader(folder.path() / "a.mp4");
  for (const int64_t time : times) EXPECT_NEAR(reader.next().value().seconds, double(time) / 1000, 1e-9);
  EXPECT_FALSE(reader.next().has_value());
  EXPECT_NEAR(reader.info().duration_s, 1.277, 0.0011);
}

TEST(WrittenVideo, KeepsASoundThatStartsLater) {
  const TemporaryFolder folder;
  Sound later = tone();
  later.start_s = 0.5;
  VideoWriter writer(folder.path() / "a.mp4", options());
  writer.add_sound(later);
  for (int i = 0; i < frame_count; ++i) writer.add(frame_at(i));
  writer.finish();
  // The codec begins with silence of its own; the first loud sample is the tone's.
  const Sound sound = read_sound(folder.path() / "a.mp4");
  const auto loud = std::ranges::find_if(sound.samples, [](float sample) { return std::abs(sample) > 0.1F; });
  EXPECT_NEAR(sound.start_s + double(loud - sound.samples.begin()) / sound.rate, 0.5, 0.005);
}

TEST(WrittenVideo, CopiesTheSoundOfAnotherFilePacketByPacket) {
  const test::Clips clips;
  for (const char* name : {"a.mp4", "a.mkv", "a.mov"}) {
    const auto source = clips.make(name, {"-c:a", "aac"});
    EXPECT_TRUE(can_copy_sound(source));
    write_with_sound_of(clips.path("copy.mp4"), source);
    EXPECT_EQ(sound_packets(clips.path("copy.mp4")), sound_packets(source)) << name;
    const Sound expected = read_sound(source), sound = read_sound(clips.path("copy.mp4"));
    EXPECT_NEAR(sound.start_s, expected.start_s, 0.001) << name;
    EXPECT_NEAR(double(sound.samples.size()), double(expected.samples.size()), 1024) << name;
  }
}

TEST(WrittenVideo, CopiesSoundOfATransportStreamAndOfMp3AndOpus) {
  const test::Clips clips;
  for (const auto& [name, codec] :
       {std::pair{"a.ts", "aac"}, std::pair{"a.avi", "libmp3lame"}, std::pair{"a.mkv", "libopus"}, std::pair{"b.mkv", "ac3"}}) {
    const auto source = clips.make(name, {"-c:a", codec});
    EXPECT_TRUE(can_copy_sound(source)) << name;
    write_with_sound_of(clips.path("copy.mp4"), source);
    const Sound expected = read_sound(source), sound = read_sound(clips.path("copy.mp4"));
    EXPECT_NEAR(sound.start_s, expected.start_s, 0.03) << name;
    EXPECT_NEAR(sound.end_s(), expected.end_s(), 0.06) << name;
  }
}

TEST(WrittenVideo, CannotCopySoundThatMp4DoesNotHoldOrThatIsNotThere) {
  const test::Clips clips;
  EXPECT_FALSE(can_copy_sound(clips.make("a.avi", {"-c:a", "pcm_s16le"})));
  EXPECT_FALSE(can_copy_sound(clips.make("b.mkv", {"-c:a", "libvorbis"})));
  EXPECT_FALSE(can_copy_sound(clips.make("c.mp4", {"-an"})));
  expect_error(
      ErrorKind::data, [&] { can_copy_sound(clips.write("d.mp4", "words")); }, "d.mp4");
  expect_error(
      ErrorKind::internal, [&] { write_with_sound_of(clips.path("e.mp4"), clips.path("c.mp4")); }, "cannot be copied");
}

TEST(WrittenVideo, WithTimesThatDoNotAscendIsAMistake) {
  const TemporaryFolder folder;
  VideoWriter writer(folder.path() / "a.mp4", options(false));
  writer.add(frame_at(0), 5, 1);
  for (const int64_t time : {5, 4, -1})
    expect_error(
        ErrorKind::internal, [&] { writer.add(frame_at(1), time, 1); }, "behind one at 5");
  expect_error(
      ErrorKind::internal, [&] { writer.add(frame_at(1), 6, 0); }, "for 0");
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
