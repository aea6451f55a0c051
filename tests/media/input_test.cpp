// Bytes in memory, streams by choice, and the limits.
#include "microemo/media/input.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "clips.h"
#include "microemo/media/frame_reader.h"
#include "microemo/media/sound.h"
#include "support/errors.h"

namespace microemo::media {
namespace {

using test::Clips;
using testing::HasSubstr;

/// Parts of the whole text: what, where or what to do.
template <class Action, class... Parts>
void expect_error(ErrorKind kind, Action&& action, Parts... parts) {
  const std::string text = test::expect_error(kind, action, "").what();
  for (const std::string part : {parts...}) EXPECT_THAT(text, HasSubstr(part));
}

std::shared_ptr<const std::string> content_of(const std::filesystem::path& path) {
  return std::make_shared<const std::string>(read_file(path));
}

std::vector<std::string> hashes_of(const MediaInput& input, const ReadLimits& limits = {}) {
  VideoReader reader(input, {.limits = limits, .md5 = true, .rgb = false});
  std::vector<std::string> hashes;
  while (const auto frame = reader.next()) hashes.push_back(fmt::format("{} {}", frame->pts, frame->md5));
  return hashes;
}

TEST(MediaInMemory, IsReadAsTheFileIs) {
  const Clips clips;
  for (const char* name : {"a.mp4", "a.mkv", "a.mov", "a.ts", "a.avi"}) {
    SCOPED_TRACE(name);
    const auto path = clips.make(name);
    const MediaInput memory(content_of(path), "in memory");
    EXPECT_EQ(hashes_of(memory), hashes_of(path));
    EXPECT_EQ(read_sound(memory).samples, read_sound(path).samples);
    FrameReader here(memory), there(path);
    const std::vector<int64_t> asked{40, 3, 17, 17, 0};
    const auto some = here.read(asked), others = there.read(asked);
    for (size_t i = 0; i < asked.size(); ++i) EXPECT_EQ(some[i].rgb.pixels, others[i].rgb.pixels) << asked[i];
  }
}

TEST(MediaInMemory, SeveralReadersShareTheBytes) {
  const Clips clips;
  const auto bytes = content_of(clips.make("a.mp4"));
  const MediaInput memory(bytes, "shared");
  VideoReader first(memory), second(memory);
  const auto one = first.next();
  first.next();
  const auto two = second.next();
  ASSERT_TRUE(one && two);
  EXPECT_EQ(one->rgb.pixels, two->rgb.pixels);
  EXPECT_GE(bytes.use_count(), 3);
}

TEST(MediaInMemory, OutlivesWhoeverGaveTheBytes) {
  const Clips clips;
  auto bytes = content_of(clips.make("a.mp4"));
  VideoReader reader(MediaInput(bytes, "handed over"));
  bytes.reset();
  int frames = 0;
  while (reader.next()) ++frames;
  EXPECT_EQ(frames, 50);
}

TEST(MediaInMemory, ErrorsNameIt) {
  const auto bytes = [](const char* text) { return std::make_shared<const std::string>(text); };
  expect_error(
      ErrorKind::data, [&] { probe(MediaInput(bytes(""), "upload 7")); }, "no bytes", "upload 7");
  expect_error(
      ErrorKind::data, [&] { probe(MediaInput(bytes("#EXTM3U\nhttp://x/y.ts\n"), "upload 8")); }, "this is text", "upload 8");
  const Clips clips;
  const auto whole = content_of(clips.make("a.mp4"));
  const auto part = std::make_shared<const std::string>(whole->substr(0, whole->size() / 2));
  expect_error(
      ErrorKind::data, [&] { hashes_of(MediaInput(part, "upload 9")); }, "truncated or damaged", "upload 9");
}

class ManyStreams : public testing::Test {
 protected:
  ManyStreams() {
    test::ffmpeg({"-f",
                  "lavfi",
                  "-i",
                  "testsrc2=size=160x120:rate=25:duration=1",
                  "-f",
                  "lavfi",
                  "-i",
                  "testsrc2=size=64x48:rate=10:duration=1",
                  "-f",
                  "lavfi",
                  "-i",
                  "sine=frequency=440:duration=1",
                  "-f",
                  "lavfi",
                  "-i",
                  "sine=frequency=1000:duration=1",
                  "-map",
                  "0",
                  "-map",
                  "1",
                  "-map",
                  "2",
                  "-map",
                  "3",
                  "-disposition:v:0",
                  "0",
                  "-disposition:v:1",
                  "default",
                  "-disposition:a:0",
                  "default",
                  "-disposition:a:1",
                  "0",
                  file_.string()});
  }
  MediaInput choice(int video, int audio) const {
    MediaInput input(file_);
    input.video_stream = video;
    input.audio_stream = audio;
    return input;
  }
  const Clips clips_;
  const std::filesystem::path file_ = clips_.path("streams.mkv");
};

TEST_F(ManyStreams, TheDefaultOnesAreRead) {
  const VideoInfo info = probe(file_);
  EXPECT_EQ(info.width, 64);
  EXPECT_EQ(info.video_stream, 1);
  EXPECT_EQ(info.audio_stream, 2);
  EXPECT_EQ(info.streams, 4);
}

TEST_F(ManyStreams, OthersByTheirNumber) {
  EXPECT_EQ(probe(choice(0, -1)).width, 160);
  EXPECT_EQ(hashes_of(choice(0, -1)).size(), 25u);
  EXPECT_EQ(hashes_of(choice(1, -1)).size(), 10u);
  EXPECT_EQ(FrameReader(choice(0, -1)).frames().size(), 25u);
  const auto crossings = [&](int stream) {
    const Sound sound = read_sound(choice(-1, stream));
    int count = 0;
    for (size_t i = 1; i < sound.samples.size(); ++i) count += sound.samples[i - 1] < 0 && sound.samples[i] >= 0;
    return count;
  };
  EXPECT_NEAR(crossings(2), 440, 5);
  EXPECT_NEAR(crossings(3), 1000, 20);
}

TEST_F(ManyStreams, OfAnotherKindOrNumberAreRefused) {
  expect_error(
      ErrorKind::data, [&] { probe(choice(2, -1)); }, "stream 2 is no video stream", "streams.mkv", "video streams: 0, 1");
  expect_error(
      ErrorKind::data, [&] { probe(choice(-1, 0)); }, "stream 0 is no sound stream", "streams.mkv", "sound streams: 2, 3");
  expect_error(
      ErrorKind::data, [&] { probe(choice(9, -1)); }, "stream 9 is no video stream");
}

TEST_F(ManyStreams, MoreThanTheLimitAreRefused) {
  ReadLimits limits;
  limits.max_streams = 2;
  expect_error(
      ErrorKind::data, [&] { probe(file_, limits); }, "max_streams = 2");
}

TEST(Limits, AFileThatHangsEnds) {
  const Clips clips;
  const auto path = clips.make("a.mp4");
  ReadLimits limits;
  limits.stall_seconds = 0;
  expect_error(
      ErrorKind::data, [&] { hashes_of(path, limits); }, "taken to hang, by the limit stall_seconds", "a.mp4");
}

/// Motion JPEG of which all pictures from `first` on have lost their headers.
std::filesystem::path with_broken_pictures(const Clips& clips, size_t first) {
  std::string bytes = read_file(clips.make("a.avi", {"-c:v", "mjpeg", "-bf", "0", "-an"}));
  const std::string marker = "\xff\xd8\xff";
  constexpr size_t headers = 600;
  size_t picture = 0;
  for (size_t at = bytes.find(marker); at != std::string::npos; at = bytes.find(marker, at + 1))
    if (picture++ >= first) bytes.replace(at, headers, headers, '\0');
  return clips.write("damaged.avi", bytes);
}

TEST(Limits, TheFirstBadPacketIsNamed) {
  const Clips clips;
  VideoReader reader(with_broken_pictures(clips, 40));
  expect_error(
      ErrorKind::data,
      [&] {
        while (reader.next()) {
        }
      },
      "truncated or damaged", "packet 40 at 1.600 s was the first that the decoder refused");
  EXPECT_EQ(reader.bad_packets(), 10);
  ASSERT_TRUE(reader.first_bad_packet().has_value());
  EXPECT_EQ(reader.first_bad_packet()->number, 40);
  EXPECT_NEAR(reader.first_bad_packet()->seconds, 1.6, 1e-6);
  EXPECT_FALSE(reader.first_bad_packet()->reason.empty());
}

TEST(Limits, BadPacketsInARowEndTheFile) {
  const Clips clips;
  ReadLimits limits;
  limits.max_bad_packets = 3;
  const auto damaged = with_broken_pictures(clips, 10);
  expect_error(
      ErrorKind::data, [&] { hashes_of(damaged, limits); }, "4 packets in a row", "over the limit max_bad_packets = 3",
      "the last is packet 13 at 0.520 s", "damaged.avi");
}

TEST(Limits, AWholeFileHasNoBadPacket) {
  const Clips clips;
  VideoReader reader(clips.make("a.mp4"));
  while (reader.next()) {
  }
  EXPECT_EQ(reader.bad_packets(), 0);
  EXPECT_FALSE(reader.first_bad_packet().has_value());
}

}  // namespace
}  // namespace microemo::media
