// Frames in any order against the sequential decode, which is itself compared with ffmpeg's framemd5.
#include "microemo/media/frame_reader.h"

#include <algorithm>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "clips.h"
#include "microemo/base/random.h"
#include "support/errors.h"

namespace microemo::media {
namespace {

using test::Clips;
using test::expect_error;
using testing::ElementsAre;
using Words = std::vector<std::string>;

VideoReader::Options hashes() {
  VideoReader::Options options;
  options.md5 = true;
  options.rgb = false;
  return options;
}

std::vector<VideoFrame> sequential(const std::filesystem::path& path) {
  VideoReader reader(path, hashes());
  std::vector<VideoFrame> frames;
  while (auto frame = reader.next()) frames.push_back(std::move(*frame));
  return frames;
}

void expect_same(const VideoFrame& frame, const VideoFrame& expected) {
  EXPECT_EQ(frame.index, expected.index);
  EXPECT_EQ(frame.pts, expected.pts);
  EXPECT_EQ(frame.seconds, expected.seconds);
  EXPECT_EQ(frame.md5, expected.md5) << "frame " << expected.index;
}

/// `reads` single frames and some lists, in an order that is drawn.
void expect_exact(const std::filesystem::path& path, int64_t reads) {
  SCOPED_TRACE(path.filename().string());
  const std::vector<VideoFrame> expected = sequential(path);
  FrameReader reader(path, hashes());
  ASSERT_EQ(reader.frames().size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    ASSERT_EQ(reader.frames()[i].pts, expected[i].pts) << i;
    ASSERT_EQ(reader.frames()[i].seconds, expected[i].seconds) << i;
  }
  Random random(7, path.filename().string());
  for (int64_t k = 0; k < reads; ++k) {
    const auto i = int64_t(random.below(expected.size()));
    expect_same(reader.read({i}).at(0), expected[size_t(i)]);
  }
  for (int64_t list = 0; list < 4; ++list) {
    std::vector<int64_t> indices;
    for (int64_t k = 0; k < 6; ++k) indices.push_back(int64_t(random.below(expected.size())));
    const std::vector<VideoFrame> frames = reader.read(indices);
    for (size_t k = 0; k < indices.size(); ++k) expect_same(frames[k], expected[size_t(indices[k])]);
  }
}

/// Three seconds of 96 x 64 whose every frame differs, with a key frame each second.
std::filesystem::path make(const Clips& clips, const std::string& name, const Words& codec) {
  Words words = {"-f", "lavfi", "-i", "testsrc2=size=96x64:rate=25:duration=3", "-pix_fmt", "yuv420p", "-threads", "1"};
  words.insert(words.end(), codec.begin(), codec.end());
  words.push_back(clips.path(name).string());
  test::ffmpeg(words);
  return clips.path(name);
}

const Words h264 = {"-c:v", "libx264", "-g", "25", "-bf", "3"},
            hevc = {"-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "keyint=25:bframes=3:log-level=none"},
            vp9 = {"-c:v", "libvpx-vp9",     "-g", "25", "-deadline", "realtime", "-cpu-used", "8", "-auto-alt-ref",
                   "1",    "-lag-in-frames", "10"},
            av1 = {"-c:v", "libsvtav1", "-preset", "12", "-g", "25"},
            mpeg4 = {"-c:v", "mpeg4", "-g", "25", "-bf", "2", "-q:v", "5"},
            mpeg2 = {"-c:v", "mpeg2video", "-g", "25", "-bf", "2", "-q:v", "5"};

TEST(FrameReader, IsExactInEveryContainerWithEveryCodec) {
  const Clips clips;
  const std::vector<std::pair<std::string, Words>> kinds = {
      {"h264.mp4", h264},   {"h264.mkv", h264},   {"h264.ts", h264},    {"h264.avi", h264},   {"h264.mov", h264},
      {"hevc.mp4", hevc},   {"hevc.mkv", hevc},   {"hevc.ts", hevc},    {"hevc.mov", hevc},   {"vp9.webm", vp9},
      {"vp9.mkv", vp9},     {"vp9.mp4", vp9},     {"av1.mp4", av1},     {"av1.mkv", av1},     {"av1.webm", av1},
      {"mpeg4.avi", mpeg4}, {"mpeg4.mp4", mpeg4}, {"mpeg4.mkv", mpeg4}, {"mpeg4.mov", mpeg4}, {"mpeg4.ts", mpeg4},
      {"mpeg2.ts", mpeg2},  {"mpeg2.mpg", mpeg2}};
  for (const auto& [name, codec] : kinds) expect_exact(make(clips, name, codec), 70);
}

TEST(FrameReader, IsExactWithOpenGroupsOfPictures) {
  const Clips clips;
  Words open = h264;
  open.insert(open.end(), {"-x264-params", "open-gop=1:keyint=20:min-keyint=20:scenecut=0"});
  for (const char* name : {"open.mp4", "open.mkv", "open.ts"}) expect_exact(make(clips, name, open), 70);
  const Words hevc_open = {"-c:v",      "libx265",      "-preset",
                           "ultrafast", "-x265-params", "keyint=20:min-keyint=20:open-gop=1:bframes=3:log-level=none"};
  for (const char* name : {"open-hevc.mp4", "open-hevc.ts"}) expect_exact(make(clips, name, hevc_open), 70);
}

TEST(FrameReader, IsExactWithIntraRefresh) {
  const Clips clips;
  Words refresh = h264;
  refresh.insert(refresh.end(), {"-x264-params", "intra-refresh=1:keyint=20"});
  for (const char* name : {"refresh.mp4", "refresh.ts"}) expect_exact(make(clips, name, refresh), 50);
}

TEST(FrameReader, IsExactWithVariableRateRotationAndEditLists) {
  const Clips clips;
  Words variable = h264;
  variable.insert(variable.end(), {"-vf", "select='not(mod(n,3))+not(mod(n,7))'", "-vsync", "vfr"});
  for (const char* name : {"variable.mp4", "variable.mkv"}) expect_exact(make(clips, name, variable), 50);
  const auto whole = make(clips, "whole.mp4", h264);
  test::ffmpeg({"-ss", "0.7", "-i", whole.string(), "-c", "copy", clips.path("edited.mp4").string()});
  expect_exact(clips.path("edited.mp4"), 50);
  test::ffmpeg({"-i", whole.string(), "-metadata:s:v", "rotate=90", "-c", "copy", clips.path("turned.mp4").string()});
  expect_exact(clips.path("turned.mp4"), 30);
  test::ffmpeg({"-i", whole.string(), "-c", "copy", "-output_ts_offset", "5", clips.path("late.mkv").string()});
  expect_exact(clips.path("late.mkv"), 30);
}

TEST(FrameReader, IsExactInAStreamThatBeginsInTheMiddle) {
  const Clips clips;
  const auto whole = make(clips, "whole.ts", h264);
  expect_exact(clips.cut(whole, "whole-too.ts", 1.0), 10);
  const std::string bytes = read_file(whole);
  expect_exact(clips.write("tail.ts", bytes.substr(bytes.size() / 3 / 188 * 188)), 50);
}

/// Decoders differ in what they make of packets before the first key frame.
TEST(FrameReader, IsExactInAClipThatIsCutOutBetweenKeyFrames) {
  const Clips clips;
  Words refresh = h264;
  refresh.insert(refresh.end(), {"-x264-params", "intra-refresh=1:keyint=20"});
  const std::vector<std::pair<std::string, Words>> kinds = {
      {"h264.mp4", h264},   {"h264.mkv", h264},   {"hevc.ts", hevc},        {"hevc.mkv", hevc},      {"vp9.webm", vp9},
      {"mpeg4.avi", mpeg4}, {"mpeg4.mp4", mpeg4}, {"refresh.mkv", refresh}, {"refresh.mp4", refresh}};
  for (const auto& [name, codec] : kinds) {
    const auto whole = make(clips, name, codec), part = clips.path("cut-" + name);
    test::ffmpeg({"-ss", "0", "-i", whole.string(), "-c", "copy", "-copyinkf", "-ss", "0.4", part.string()});
    expect_exact(part, 20);
  }
}

TEST(FrameReader, IsExactInARealAviFileWithBFrames) {
  const auto film = test::test_media("Megamind.avi");
  if (!film) GTEST_SKIP() << test::no_test_media("Megamind.avi");
  expect_exact(*film, 6);
}

TEST(FrameReader, JumpsWhereAKeyFrameShortensTheWay) {
  const Clips clips;
  const auto path = make(clips, "jump.mp4", {"-c:v", "libx264", "-g", "10", "-bf", "0"});
  FrameReader reader(path, hashes());
  reader.read({72});
  EXPECT_LE(reader.decoded(), 12);
  FrameReader dense(path, hashes());
  dense.read({0, 5, 9, 14, 19, 24});
  EXPECT_EQ(dense.decoded(), 25);
}

TEST(FrameReader, TellsWhatIsShownAtATime) {
  const Clips clips;
  FrameReader reader(make(clips, "times.mp4", h264), hashes());
  EXPECT_EQ(reader.shown_at(0), 0);
  EXPECT_EQ(reader.shown_at(0.039), 0);
  EXPECT_EQ(reader.shown_at(0.04), 1);
  EXPECT_EQ(reader.shown_at(1.5), 37);
  EXPECT_EQ(reader.shown_at(2.999), 74);
  EXPECT_NEAR(reader.end_s(), 3, 1e-6);
  for (const double seconds : {-0.1, 3.0, 100.0, std::nan("")})
    expect_error(
        ErrorKind::data, [&] { reader.shown_at(seconds); }, "the pictures end at 3.000 s");
}

TEST(FrameReader, RefusesFramesThatAreNotThere) {
  const Clips clips;
  FrameReader reader(make(clips, "few.mp4", h264), hashes());
  for (const int64_t index : {int64_t(-1), int64_t(75), int64_t(1) << 40}) {
    const Error error = expect_error(
        ErrorKind::data, [&] { reader.read({index}); }, fmt::format("there is no frame {}: the video has 75", index));
    EXPECT_EQ(error.next_step(), "frames are counted from 0 to 74");
  }
  EXPECT_TRUE(reader.read({}).empty());
}

TEST(FrameReader, RefusesWhatVideoReaderRefuses) {
  const Clips clips;
  const auto whole = make(clips, "whole.mkv", h264);
  expect_error(
      ErrorKind::data, [&] { FrameReader(clips.cut(whole, "cut.mkv", 0.5)); }, "truncated or damaged");
  expect_error(
      ErrorKind::data, [&] { FrameReader(clips.write("text.mp4", "no video")); }, "this is text");
  test::ffmpeg({"-f", "lavfi", "-i", "sine=duration=1", clips.path("sound.wav").string()});
  expect_error(
      ErrorKind::data, [&] { FrameReader(clips.path("sound.wav")); }, "no video stream");
}

TEST(AnnouncedFrames, AreThoseThatVideoReaderGives) {
  const Clips clips;
  const std::vector<std::pair<std::string, Words>> kinds = {{"h264.mp4", h264}, {"h264.mkv", h264},   {"h264.ts", h264},
                                                            {"vp9.webm", vp9},  {"mpeg4.mp4", mpeg4}, {"mpeg2.ts", mpeg2}};
  for (const auto& [name, codec] : kinds) EXPECT_EQ(announced_frames(make(clips, name, codec)), 75) << name;
}

TEST(AnnouncedFrames, AreNotKnownWherePacketsHaveNoTimes) {
  const Clips clips;
  EXPECT_EQ(announced_frames(make(clips, "h264.avi", h264)), std::nullopt);
  test::ffmpeg({"-f", "lavfi", "-i", "sine=duration=1", clips.path("sound.wav").string()});
  EXPECT_EQ(announced_frames(clips.path("sound.wav")), std::nullopt);
}

TEST(AnnouncedFrames, OfAFileThatBreaksOffAreThoseUpToThere) {
  const Clips clips;
  const auto cut = clips.cut(make(clips, "whole.mkv", h264), "cut.mkv", 0.5);
  ReadLimits allowed;
  allowed.partial = true;
  const std::optional<int64_t> frames = announced_frames(cut);
  EXPECT_EQ(frames, announced_frames(cut, allowed));
  EXPECT_EQ(frames, int64_t(FrameReader(cut, {.limits = allowed}).frames().size()));
  EXPECT_LT(frames, 60);
}

TEST(AnnouncedFrames, RefuseWhatIsNoVideo) {
  const Clips clips;
  expect_error(
      ErrorKind::data, [&] { announced_frames(clips.write("text.mp4", "no video")); }, "this is text");
  expect_error(
      ErrorKind::data, [&] { announced_frames(clips.path("none.mp4")); }, "none.mp4");
}

TEST(FrameRules, TakeWhatThePublicCodeTakes) {
  EXPECT_THAT(uniform_frames(271, 8), ElementsAre(0, 33, 67, 101, 135, 169, 203, 237));
  EXPECT_THAT(timechat_frames(271, 8), ElementsAre(0, 33, 67, 101, 135, 169, 203, 237));
  EXPECT_THAT(middle_frames(100, 4), ElementsAre(12, 37, 62, 87));
  for (const auto& rule : {uniform_frames, timechat_frames, middle_frames}) {
    EXPECT_THAT(rule(3, 8), ElementsAre(0, 1, 2));
    EXPECT_TRUE(rule(0, 8).empty());
  }
}

TEST(FrameRules, AtARateTakeEachShownFrameOnce) {
  std::vector<IndexedFrame> frames;
  for (const double seconds : {0.0, 0.04, 0.08, 0.5, 1.0}) frames.push_back({0, seconds, false});
  EXPECT_THAT(frames_at_rate(frames, 1.2, 5), ElementsAre(0, 2, 3, 4));
  EXPECT_THAT(frames_at_rate(frames, 1.2, 100), ElementsAre(0, 1, 2, 3, 4));
  EXPECT_TRUE(frames_at_rate({}, 0, 5).empty());
}

}  // namespace
}  // namespace microemo::media
