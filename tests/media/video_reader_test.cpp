#include "microemo/media/video_reader.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "clips.h"
#include "microemo/media/face.h"
#include "support/errors.h"

namespace microemo::media {
namespace {

using test::Clips;
using test::expect_error;
using test::ffmpeg;
using test::lines_of;

std::vector<VideoFrame> frames_of(const std::filesystem::path& path, VideoReader::Options options = {}) {
  VideoReader reader(path, options);
  std::vector<VideoFrame> frames;
  while (auto frame = reader.next()) frames.push_back(std::move(*frame));
  EXPECT_EQ(reader.next(), std::nullopt) << "after the end";
  return frames;
}

/// Times only.
VideoReader::Options without_pictures() {
  VideoReader::Options options;
  options.rgb = false;
  return options;
}

struct Listed {
  bool key = false;
  std::optional<int64_t> pts;  ///< ffprobe knows none for the last frames of some AVI files
};

std::vector<Listed> listed_by_ffprobe(const std::filesystem::path& path) {
  std::vector<Listed> frames;
  for (const std::string& line : lines_of({"ffprobe", "-v", "quiet", "-select_streams", "v:0", "-show_entries",
                                           "frame=key_frame,best_effort_timestamp", "-of", "csv=p=0", path.string()})) {
    if (line.empty()) continue;
    const std::string pts = line.substr(line.find(',') + 1);
    frames.push_back({line[0] == '1', pts.starts_with("N/A") ? std::nullopt : std::optional(std::stoll(pts))});
  }
  return frames;
}

std::vector<std::string> framemd5(const std::filesystem::path& path) {
  std::vector<std::string> digests;
  for (const std::string& line : lines_of({"ffmpeg", "-v", "quiet", "-noautorotate", "-i", path.string(), "-map", "0:v:0",
                                           "-vsync", "passthrough", "-f", "framemd5", "-"}))
    if (!line.starts_with('#')) digests.push_back(line.substr(line.rfind(' ') + 1));
  return digests;
}

void expect_listed_times(const std::filesystem::path& path) {
  const auto expected = listed_by_ffprobe(path);
  VideoReader reader(path, without_pictures());
  const VideoInfo info = reader.info();
  int64_t last_pts = std::numeric_limits<int64_t>::min();
  size_t i = 0;
  for (; auto frame = reader.next(); ++i) {
    ASSERT_LT(i, expected.size());
    ASSERT_EQ(frame->index, int64_t(i));
    if (expected[i].pts)
      ASSERT_EQ(frame->pts, *expected[i].pts) << "frame " << i;
    else
      ASSERT_GE(i + 2, expected.size());
    ASSERT_GT(frame->pts, last_pts) << "frame " << i;
    last_pts = frame->pts;
    ASSERT_EQ(frame->key, expected[i].key) << "frame " << i;
    ASSERT_NEAR(frame->seconds, double(frame->pts) * double(info.time_base_num) / double(info.time_base_den) - info.start_s,
                1e-9);
  }
  EXPECT_EQ(i, expected.size());
}

class Megamind : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto found = test::test_media("Megamind.avi");
    if (!found) GTEST_SKIP() << test::no_test_media("Megamind.avi");
    path = *found;
  }
  std::filesystem::path path;
};

TEST_F(Megamind, HasTheFramesAndTimesOfFfprobe) {
  expect_listed_times(path);
  EXPECT_EQ(frames_of(path, without_pictures()).size(), 270);
}

TEST_F(Megamind, HasTheDecodedPlanesOfFfmpeg) {
  VideoReader::Options options = without_pictures();
  options.md5 = true;
  const auto expected = framemd5(path);
  const auto frames = frames_of(path, options);
  ASSERT_EQ(frames.size(), expected.size());
  for (size_t i = 0; i < frames.size(); ++i) ASSERT_EQ(frames[i].md5, expected[i]) << "frame " << i;
}

TEST_F(Megamind, HasFacesInNearlyEveryFrame) {
  VideoReader reader(path);
  FaceTracker tracker;
  while (auto frame = reader.next()) tracker.add(frame->rgb);
  const auto faces = tracker.finish();
  const auto with_face = std::count_if(faces.begin(), faces.end(), [](const auto& frame) { return !frame.empty(); });
  EXPECT_GE(with_face, 260);
}

TEST(PedestriansFromAfar, HaveNoFaceTrack) {
  const auto path = test::test_media("vtest.avi");
  if (!path) GTEST_SKIP() << test::no_test_media("vtest.avi");
  VideoReader reader(*path);
  FaceTracker tracker;
  for (int i = 0; i < 200; ++i) tracker.add(reader.next()->rgb);
  for (const auto& frame : tracker.finish()) EXPECT_TRUE(frame.empty());
}

TEST(Video, HasTheTimesOfFfprobeInEveryContainer) {
  const Clips clips;
  const auto mp4 = clips.make("a.mp4");
  for (const std::string name : {"a.mkv", "a.ts", "a.mov", "a.avi"}) {
    ffmpeg({"-i", mp4.string(), "-c", "copy", clips.path(name).string()});
    expect_listed_times(clips.path(name));
  }
  expect_listed_times(mp4);
}

TEST(Video, HasTheSamePicturesInEveryContainer) {
  const Clips clips;
  const auto mp4 = clips.make("a.mp4");
  VideoReader::Options options;
  options.md5 = true;
  const auto expected = frames_of(mp4, options);
  ASSERT_EQ(expected.size(), 50);
  for (const std::string name : {"a.mkv", "a.ts"}) {
    ffmpeg({"-i", mp4.string(), "-c", "copy", clips.path(name).string()});
    const auto frames = frames_of(clips.path(name), options);
    ASSERT_EQ(frames.size(), 50) << name;
    for (size_t i = 0; i < 50; ++i) {
      ASSERT_EQ(frames[i].md5, expected[i].md5) << name << " frame " << i;
      ASSERT_EQ(frames[i].rgb.pixels, expected[i].rgb.pixels) << name << " frame " << i;
    }
  }
}

TEST(Video, KeepsTheTimesOfAVariableFrameRate) {
  const Clips clips;
  const auto path = clips.make("vfr.mkv", {"-vf", "setpts='if(lt(N,20),N,20+(N-20)*3)/25/TB'", "-vsync", "passthrough"});
  expect_listed_times(path);
  const auto frames = frames_of(path, without_pictures());
  ASSERT_EQ(frames.size(), 50);
  EXPECT_NEAR(frames[10].seconds - frames[9].seconds, 0.04, 0.002);
  EXPECT_NEAR(frames[40].seconds - frames[39].seconds, 0.12, 0.002);
}

TEST(Video, LeavesOutWhatAnEditListCutsAway) {
  const Clips clips;
  const auto whole = clips.make("a.mp4");
  ffmpeg({"-ss", "0.7", "-i", whole.string(), "-c", "copy", clips.path("trimmed.mp4").string()});
  expect_listed_times(clips.path("trimmed.mp4"));
}

TEST(Video, IsTurnedUpright) {
  const Clips clips;
  const auto flat = clips.make("a.mp4");
  for (const int degrees : {90, 180, 270}) {  // counter-clockwise for ffmpeg 5
    const auto turned = clips.path("turned.mp4"), raw = clips.path("raw.rgb");
    ffmpeg({"-i", flat.string(), "-c", "copy", "-metadata:s:v", "rotate=" + std::to_string(degrees), turned.string()});
    ffmpeg({"-i", turned.string(), "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24", raw.string()});
    VideoReader reader(turned);
    const Image first = reader.next()->rgb;
    EXPECT_EQ(reader.info().rotation, 360 - degrees);
    EXPECT_EQ(reader.info().width, first.width);
    EXPECT_EQ(reader.info().height, first.height);
    EXPECT_EQ(first.width, degrees == 180 ? 160 : 120);
    const std::string expected = read_file(raw);
    ASSERT_EQ(first.pixels.size(), expected.size());
    double difference = 0;
    for (size_t i = 0; i < expected.size(); ++i) difference += std::abs(int(first.pixels[i]) - int(uint8_t(expected[i])));
    EXPECT_LT(difference / double(expected.size()), 4) << degrees;
  }
}

TEST(Video, HasTheColoursThatWereMeant) {
  const Clips clips;
  const std::vector<std::vector<std::string>> kinds = {
      {"-vf", "scale=out_color_matrix=bt709:out_range=tv,format=yuv420p", "-colorspace", "bt709", "-color_range", "tv"},
      {"-vf", "scale=out_color_matrix=bt601:out_range=tv,format=yuv420p", "-colorspace", "smpte170m", "-color_range", "tv"},
      {"-vf", "scale=out_color_matrix=bt601:out_range=pc,format=yuv420p", "-colorspace", "smpte170m", "-color_range", "pc"},
      {"-vf", "scale=out_color_matrix=bt601:out_range=tv,format=yuv420p"}};
  for (const auto& kind : kinds) {
    std::vector<std::string> arguments = {"-f", "lavfi", "-i", "color=c=0xC02040:size=64x64:duration=0.2:rate=10,format=rgb24"};
    arguments.insert(arguments.end(), kind.begin(), kind.end());
    arguments.insert(arguments.end(), {"-c:v", "libx264", "-qp", "4", clips.path("color.mp4").string()});
    ffmpeg(arguments);
    VideoReader reader(clips.path("color.mp4"));
    const Image rgb = reader.next()->rgb;
    const uint8_t* middle = rgb.row(32) + 32 * 3;
    EXPECT_NEAR(middle[0], 0xC0, 4) << kind[1];
    EXPECT_NEAR(middle[1], 0x20, 4) << kind[1];
    EXPECT_NEAR(middle[2], 0x40, 4) << kind[1];
  }
}

TEST(Video, ClockStartsWithItsEarliestStream) {
  const Clips clips;
  const auto path = clips.make("late.mp4");
  ffmpeg({"-i", path.string(), "-itsoffset", "0.5", "-i", path.string(), "-map", "1:v", "-map", "0:a", "-c", "copy",
          clips.path("late.ts").string()});
  VideoReader reader(clips.path("late.ts"));
  EXPECT_GT(reader.info().start_s, 1);  // of MPEG-TS
  EXPECT_NEAR(reader.next()->seconds, 0.5, 0.05);
}

TEST(Video, WithoutSoundSaysSo) {
  const Clips clips;
  const auto info = probe(clips.make("silent.mp4", {"-an"}));
  EXPECT_TRUE(info.has_video);
  EXPECT_FALSE(info.has_audio);
  EXPECT_EQ(info.audio_codec, "");
  EXPECT_EQ(info.video_codec, "h264");
  EXPECT_EQ(info.width, 160);
  EXPECT_NEAR(info.duration_s, 2, 1e-3);
}

TEST(Video, IsNotTheCoverOfAnAlbum) {
  const Clips clips;
  ffmpeg({"-f", "lavfi", "-i", "testsrc=size=64x64", "-frames:v", "1", clips.path("cover.png").string()});
  ffmpeg({"-f", "lavfi", "-i", "sine=duration=1", "-i", clips.path("cover.png").string(), "-map", "0", "-map", "1", "-c:v",
          "copy", "-disposition:v", "attached_pic", clips.path("song.mp3").string()});
  EXPECT_FALSE(probe(clips.path("song.mp3")).has_video);
}

TEST(Video, IsReadFromAFileWhoseNameLooksLikeAnAddress) {
  const Clips clips;
  const auto path = clips.path("http:clip.mp4");
  std::filesystem::rename(clips.make("a.mp4"), path);
  EXPECT_EQ(frames_of(path, without_pictures()).size(), 50);
}

TEST(Video, HasPicturesAndDigestsOnlyWhenAsked) {
  const Clips clips;
  const auto path = clips.make("a.mp4");
  EXPECT_TRUE(frames_of(path, without_pictures())[0].rgb.pixels.empty());
  EXPECT_TRUE(frames_of(path)[0].md5.empty());
}

TEST(Video, HasPicturesOfTheFramesThatAreToHaveThem) {
  const Clips clips;
  const auto path = clips.make("a.mp4");
  const std::vector<VideoFrame> all = frames_of(path);
  std::vector<int64_t> asked;
  VideoReader::Options options;
  options.rgb_of = [&](int64_t index) { return asked.push_back(index), index % 3 == 0; };
  const std::vector<VideoFrame> some = frames_of(path, options);
  ASSERT_EQ(some.size(), all.size());
  ASSERT_EQ(asked.size(), all.size());
  for (size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(asked[i], int64_t(i));
    EXPECT_EQ(some[i].seconds, all[i].seconds);
    EXPECT_EQ(some[i].rgb.pixels, i % 3 == 0 ? all[i].rgb.pixels : std::vector<uint8_t>()) << i;
  }
}

TEST(Video, MarksDamageInsideAndGoesOn) {
  const Clips clips;
  const auto path = clips.make("a.mp4");
  std::string bytes = read_file(path);
  const std::string packet = lines_of({"ffprobe", "-v", "quiet", "-select_streams", "v:0", "-show_entries", "packet=size,pos",
                                       "-of", "csv=p=0", path.string()})[25];
  const size_t size = std::stoul(packet), position = std::stoul(packet.substr(packet.find(',') + 1));
  for (size_t i = size / 4; i < size / 2; ++i) bytes[position + i] = char(i * 89);
  VideoReader reader(clips.write("damaged.mp4", bytes), without_pictures());
  int64_t frames = 0, damaged = 0;
  while (auto frame = reader.next()) ++frames, damaged += frame->damaged;
  EXPECT_GT(reader.bad_packets() + damaged, 0);
  EXPECT_LT(damaged, 50);
  EXPECT_GE(frames, 49);
}

TEST(Video, RefusesAMissingFile) {
  const auto error = expect_error(
      ErrorKind::data, [] { probe("/nowhere/clip.mp4"); }, "/nowhere/clip.mp4");
  EXPECT_NE(error.next_step(), "");
}

TEST(Video, RefusesAnEmptyFile) {
  const Clips clips;
  expect_error(
      ErrorKind::data, [&] { probe(clips.write("a.mp4", "")); }, "the file is empty");
}

TEST(Video, RefusesAFolder) {
  const Clips clips;
  expect_error(
      ErrorKind::data, [&] { probe(clips.path(".")); }, "this is a folder");
}

TEST(Video, RefusesText) {
  const Clips clips;
  expect_error(
      ErrorKind::data, [&] { probe(clips.write("a.mp4", "Dear diary,\nnot a video.\n")); }, "this is text");
}

TEST(Video, RefusesAConcatenationThatNamesOtherFiles) {
  const Clips clips;
  clips.make("other.mp4");
  expect_error(
      ErrorKind::data, [&] { probe(clips.write("a.mp4", "ffconcat version 1.0\nfile other.mp4\n")); }, "this is text");
}

TEST(Video, RefusesAPlaylistThatNamesOtherFiles) {
  const Clips clips;
  clips.make("other.ts");
  const std::string list = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nother.ts\n#EXT-X-ENDLIST\n";
  expect_error(
      ErrorKind::data, [&] { probe(clips.write("a.mp4", list)); }, "this is text");
}

TEST(Video, RefusesRandomBytes) {
  const Clips clips;
  std::string bytes;
  for (int i = 0; i < 5000; ++i) bytes += char((i * 7919) >> 3);
  expect_error(
      ErrorKind::data, [&] { probe(clips.write("a.mp4", bytes)); }, "not a media file");
}

TEST(Video, RefusesAnMp4ThatWasCutBeforeItsIndex) {
  const Clips clips;
  const auto path = clips.cut(clips.make("a.mp4"), "cut.mp4", 0.6);
  expect_error(
      ErrorKind::data, [&] { probe(path); }, "truncated");
}

TEST(Video, SaysWhereACutMp4Ends) {
  const Clips clips;
  const auto path = clips.cut(clips.make("a.mp4", {"-movflags", "+faststart"}), "cut.mp4", 0.6);
  const auto error = expect_error(
      ErrorKind::data, [&] { frames_of(path); }, "truncated");
  EXPECT_THAT(error.message(), ::testing::ContainsRegex("up to [01]\\.[0-9]+ s"));
}

TEST(Video, SaysWhereACutMatroskaFileEnds) {
  const Clips clips;
  const auto path = clips.cut(clips.make("a.mkv"), "cut.mkv", 0.6);
  VideoReader reader(path);
  int64_t frames = 0;
  const auto error = expect_error(
      ErrorKind::data,
      [&] {
        for (; reader.next(); ++frames) {
        }
      },
      "truncated");
  EXPECT_GT(frames, 10);
  EXPECT_LT(frames, 45);
}

TEST(Video, RefusesSoundAlone) {
  const Clips clips;
  const auto path = clips.make("sound.mp4", {"-vn"});
  EXPECT_FALSE(probe(path).has_video);
  expect_error(
      ErrorKind::data, [&] { VideoReader reader(path); }, "no video stream");
}

TEST(Video, RefusesMorePixelsThanTheLimit) {
  const Clips clips;
  const auto path = clips.make("a.mp4");
  ReadLimits limits;
  limits.max_pixels = 160 * 120 - 1;
  expect_error(
      ErrorKind::data, [&] { probe(path, limits); }, "max_pixels = 19199");
}

/// libav fills pictures up to whole blocks and counts those.
TEST(Video, ReadsPicturesOfJustTheLimit) {
  const Clips clips;
  for (const char* name : {"a.mp4", "a.mkv", "a.ts", "a.avi"}) {
    const auto path = clips.make(name, {"-vf", "scale=170:98"});
    ReadLimits limits;
    limits.max_pixels = 170 * 98;
    EXPECT_TRUE(VideoReader(path, {.limits = limits}).next().has_value()) << name;
    EXPECT_EQ(probe(path, limits).width, 170) << name;
    limits.max_pixels -= 1;
    expect_error(
        ErrorKind::data, [&] { VideoReader(path, {.limits = limits}); }, "170 x 98 pixels, over the limit max_pixels = 16659");
  }
}

TEST(Video, NamesAFormatThatIsNotRead) {
  const Clips clips;
  const std::pair<const char*, const char*> kinds[] = {{"a.gif", "CompuServe Graphics"}, {"a.apng", "Animated Portable"}};
  for (const auto& [name, format] : kinds) {
    const auto path = clips.path(name);
    test::ffmpeg({"-f", "lavfi", "-i", "testsrc2=size=64x48:rate=5:duration=1", path.string()});
    expect_error(
        ErrorKind::data, [&] { probe(path); }, fmt::format("its format is not one that is read: {}", format));
  }
  expect_error(
      ErrorKind::data, [&] { probe(clips.write("a.mp4", std::string(3000, '\x7'))); }, "not a media file that can be read");
}

TEST(Video, RefusesAHugeDeclaredSize) {
  const Clips clips;
  std::string bytes = read_file(clips.make("a.mp4"));
  const size_t entry = bytes.find("avc1", bytes.find("stsd"));
  ASSERT_NE(entry, std::string::npos);
  bytes.replace(entry + 28, 4, "\x4e\x20\x4e\x20");  // 20000 x 20000 in the sample entry
  expect_error(
      ErrorKind::data, [&] { probe(clips.write("huge.mp4", bytes)); }, "20000 x 20000");
}

}  // namespace
}  // namespace microemo::media
