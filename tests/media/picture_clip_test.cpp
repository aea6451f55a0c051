// Folders of pictures read as clips, against what the ffmpeg program makes of the same pictures.
#include <algorithm>
#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "media.h"
#include "microemo/base/files.h"
#include "microemo/base/random.h"
#include "microemo/media/face.h"
#include "microemo/media/frame_reader.h"
#include "microemo/media/picture_folder.h"
#include "microemo/media/sound.h"
#include "support/errors.h"

namespace microemo::media {
namespace {

namespace fs = std::filesystem;
using test::ffmpeg;
using testing::HasSubstr;
using Words = std::vector<std::string>;

constexpr int64_t pictures = 12;

MediaInput clip_of(const fs::path& folder, double rate = 25) {
  MediaInput input(folder);
  input.frame_rate = rate;
  return input;
}

VideoReader::Options hashes() {
  VideoReader::Options options;
  options.md5 = true;
  options.rgb = false;
  return options;
}

std::vector<VideoFrame> frames_of(const MediaInput& input, const VideoReader::Options& options = hashes()) {
  VideoReader reader(input, options);
  std::vector<VideoFrame> frames;
  while (auto frame = reader.next()) frames.push_back(std::move(*frame));
  EXPECT_EQ(reader.bad_packets(), 0);
  return frames;
}

/// A folder that pictures are put into.
class PictureClip : public testing::Test {
 protected:
  fs::path folder() const { return folder_.path(); }
  fs::path picture(int64_t number, const std::string& ending = ".png") const {
    return folder() / ("img" + std::to_string(number) + ending);
  }
  /// img1 to img12 of 66 x 50, each another one.
  void make(const std::string& ending = ".png", const Words& words = {}) const {
    Words arguments = {"-f", "lavfi", "-i", "testsrc2=size=66x50:rate=3:duration=4"};
    arguments.insert(arguments.end(), words.begin(), words.end());
    arguments.push_back((folder() / ("img%d" + ending)).string());
    ffmpeg(arguments);
  }
  void write(const fs::path& file, const std::string& bytes) const { write_file_atomic(file, bytes); }
  /// The whole error of a read from start to end.
  template <class... Parts>
  void expect_refused(const MediaInput& input, const ReadLimits& limits, Parts... parts) const {
    VideoReader::Options options = hashes();
    options.limits = limits;
    const std::string text = test::expect_error(
                                 ErrorKind::data, [&] { frames_of(input, options); }, "")
                                 .what();
    for (const std::string part : {parts...}) EXPECT_THAT(text, HasSubstr(part));
  }
  template <class... Parts>
  void expect_refused(Parts... parts) const {
    expect_refused(clip_of(folder()), ReadLimits(), parts...);
  }

 private:
  TemporaryFolder folder_;
};

/// The lines of ffmpeg's framemd5 about pictures that are read with its option -framerate.
Words framemd5(const fs::path& pattern, const std::string& rate) {
  return test::lines_of({"ffmpeg", "-v", "error", "-noautorotate", "-framerate", rate, "-i", pattern.string(), "-vsync",
                         "passthrough", "-f", "framemd5", "-"});
}

struct Kind {
  std::string ending;
  Words words;
};

class PictureKinds : public PictureClip, public testing::WithParamInterface<Kind> {};

TEST_P(PictureKinds, HaveThePlanesAndTimesOfFfmpeg) {
  make(GetParam().ending, GetParam().words);
  Words expected = framemd5(folder() / ("img%d" + GetParam().ending), "30");
  std::erase_if(expected, [](const std::string& line) { return line.starts_with('#'); });
  const auto frames = frames_of(clip_of(folder(), 30));
  ASSERT_EQ(frames.size(), expected.size());
  for (size_t i = 0; i < frames.size(); ++i) {
    const VideoFrame& frame = frames[i];
    EXPECT_EQ(fmt::format("0, {:10}, {:10}, {:8}, {:8}, {}", frame.pts, frame.pts, 1, frame.bytes, frame.md5), expected[i]);
    EXPECT_EQ(frame.index, int64_t(i));
    EXPECT_EQ(frame.pts, int64_t(i));
    EXPECT_DOUBLE_EQ(frame.seconds, double(i) / 30);
    EXPECT_TRUE(frame.key);
    EXPECT_FALSE(frame.damaged);
  }
}

TEST_P(PictureKinds, AreReadInAnyOrder) {
  make(GetParam().ending, GetParam().words);
  const auto expected = frames_of(clip_of(folder()));
  FrameReader reader(clip_of(folder()), hashes());
  ASSERT_EQ(int64_t(reader.frames().size()), pictures);
  EXPECT_DOUBLE_EQ(reader.end_s(), double(pictures) / 25);
  Random random(11, GetParam().ending);
  for (int read = 0; read < 60; ++read) {
    std::vector<int64_t> asked;
    for (uint64_t k = random.below(4) + 1; k > 0; --k) asked.push_back(int64_t(random.below(pictures)));
    const auto frames = reader.read(asked);
    for (size_t k = 0; k < asked.size(); ++k) {
      const VideoFrame& one = expected[size_t(asked[k])];
      EXPECT_EQ(frames[k].md5, one.md5) << asked[k];
      EXPECT_EQ(std::tuple(frames[k].index, frames[k].pts, frames[k].seconds), std::tuple(one.index, one.pts, one.seconds));
    }
  }
}

TEST_P(PictureKinds, AreShownAsSinglePicturesAre) {
  make(GetParam().ending, GetParam().words);
  const auto frames = frames_of(clip_of(folder()), {});
  ASSERT_EQ(int64_t(frames.size()), pictures);
  for (size_t i = 0; i < frames.size(); ++i)
    EXPECT_EQ(frames[i].rgb.pixels, read_image(picture(int64_t(i) + 1, GetParam().ending)).pixels) << i;
}

TEST_P(PictureKinds, AreWholeOrRefused) {
  make(GetParam().ending, GetParam().words);
  const fs::path second = picture(2, GetParam().ending);
  const std::string bytes = read_file(second);
  const auto whole = frames_of(clip_of(folder()));
  int refused = 0;
  Random random(5, GetParam().ending);
  for (int cut = 0; cut < 60; ++cut) {
    // Half of the cuts near the end, where a decoder misses little.
    const size_t length = cut % 2 ? random.below(bytes.size()) : bytes.size() - 1 - random.below(30);
    write(second, bytes.substr(0, length));
    try {
      EXPECT_EQ(frames_of(clip_of(folder())).at(1).md5, whole[1].md5) << length << " of " << bytes.size() << " bytes";
    } catch (const Error& error) {
      ++refused;
      EXPECT_EQ(error.place(), second.string()) << error.what();
      EXPECT_EQ(error.kind(), ErrorKind::data) << error.what();
    }
  }
  EXPECT_GE(refused, 30);
}

TEST_P(PictureKinds, AreReadOrRefusedWhenBytesChange) {
  make(GetParam().ending, GetParam().words);
  const fs::path second = picture(2, GetParam().ending);
  const std::string bytes = read_file(second);
  Random random(3, GetParam().ending);
  for (int round = 0; round < 40; ++round) {
    std::string changed = bytes;
    for (int k = 0; k < 6; ++k)
      changed[random.below(k < 3 ? std::min<size_t>(bytes.size(), 100) : bytes.size())] ^= char(random.below(256));
    write(second, changed);
    try {
      EXPECT_EQ(int64_t(frames_of(clip_of(folder()), {}).size()), pictures);
    } catch (const Error& error) {
      EXPECT_EQ(error.place(), second.string()) << error.what();
      EXPECT_EQ(error.kind(), ErrorKind::data) << error.what();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(, PictureKinds,
                         testing::Values(Kind{".png", {}}, Kind{".png", {"-pix_fmt", "rgba"}}, Kind{".png", {"-pix_fmt", "gray"}},
                                         Kind{".png", {"-pix_fmt", "pal8"}}, Kind{".PNG", {"-c:v", "png", "-pix_fmt", "rgb48be"}},
                                         Kind{".jpg", {}}, Kind{".jpeg", {"-pix_fmt", "yuvj444p"}}, Kind{".bmp", {}},
                                         Kind{".tif", {}}, Kind{".tiff", {"-pix_fmt", "rgb24", "-compression_algo", "lzw"}},
                                         Kind{".webp", {"-c:v", "libwebp"}},
                                         Kind{".webp", {"-c:v", "libwebp", "-lossless", "1"}}));

TEST_F(PictureClip, TellsWhatItIs) {
  make();
  const VideoInfo info = probe(clip_of(folder(), 24));
  EXPECT_EQ(std::tuple(info.width, info.height, info.rotation), std::tuple(66, 50, 0));
  EXPECT_EQ(info.container, "image2");
  EXPECT_EQ(info.video_codec, "png");
  EXPECT_TRUE(info.has_video);
  EXPECT_FALSE(info.has_audio);
  EXPECT_EQ(std::tuple(info.streams, info.video_stream, info.audio_stream), std::tuple(1, 0, -1));
  EXPECT_DOUBLE_EQ(info.duration_s, 0.5);
}

TEST_F(PictureClip, HasTheUnitOfTimeThatFfmpegHas) {
  make();
  for (const std::string rate :
       {"25", "24000/1001", "23.976", "29.97", "30000/1001", "59.94005994005994", "0.5", "200", "12.3456"}) {
    const VideoInfo info = probe(clip_of(folder(), *frame_rate_of(rate)));
    EXPECT_THAT(framemd5(folder() / "img%d.png", rate),
                testing::Contains(fmt::format("#tb 0: {}/{}", info.time_base_num, info.time_base_den)))
        << rate;
  }
}

TEST_F(PictureClip, BeginsWithItsFirstNumber) {
  ffmpeg({"-f", "lavfi", "-i", "testsrc2=size=66x50:rate=3:duration=1", "-start_number", "99",
          picture(0).string().replace(picture(0).string().size() - 5, 1, "%d")});
  const auto frames = frames_of(clip_of(folder()));
  ASSERT_EQ(frames.size(), 3u);
  EXPECT_EQ(frames[0].pts, 0);
  EXPECT_EQ(read_image(picture(101)).pixels, frames_of(clip_of(folder()), {})[2].rgb.pixels);
}

TEST_F(PictureClip, GoesOnBehindAPictureThatIsReadAgain) {
  make();
  const auto expected = frames_of(clip_of(folder()));
  FrameReader reader(clip_of(folder()), hashes());
  for (const int64_t wanted : {5, 6, 8, 8, 0, 11, 3}) EXPECT_EQ(reader.read({wanted}).at(0).md5, expected[size_t(wanted)].md5);
  EXPECT_LE(reader.decoded(), 9) << "no more than those that were asked for and those skipped over";
}

TEST_F(PictureClip, ReadsOnlyThePicturesThatAreAskedFor) {
  make();
  for (const int64_t number : {2, 5, 9}) write(picture(number), "no picture");
  FrameReader reader(clip_of(folder()), hashes());
  EXPECT_EQ(reader.read({11, 0, 6}).size(), 3u);
  test::expect_error(
      ErrorKind::data, [&] { reader.read({4}); }, "img5.png");
}

TEST_F(PictureClip, RefusesPicturesOfAnotherSize) {
  make();
  ffmpeg({"-f", "lavfi", "-i", "color=red:size=50x66", "-frames:v", "1", picture(7).string()});
  expect_refused("the picture size changes from 66 x 50 to 50 x 66", "img7.png", "one size");
}

TEST_F(PictureClip, RefusesPicturesThatCannotBeDecoded) {
  make();
  std::string bytes = read_file(picture(3));
  bytes[bytes.size() / 2] = char(bytes[bytes.size() / 2] ^ 0x10);
  write(picture(3), bytes);
  expect_refused("the picture cannot be decoded", "img3.png");
}

TEST_F(PictureClip, RefusesContentOfAnotherKind) {
  make(".jpg");
  ffmpeg({"-i", picture(3, ".jpg").string(), "-c:v", "png", "-f", "image2", (folder() / "other.png").string()});
  fs::rename(folder() / "other.png", picture(4, ".jpg"));
  expect_refused("the picture cannot be decoded: its content is no JPEG", "img4.jpg");
  write(picture(1, ".jpg"), "<html>not found</html>");
  expect_refused("its content is no JPEG", "img1.jpg");
}

TEST_F(PictureClip, RefusesEmptyFilesAndHeadersAlone) {
  make(".jpg");
  write(picture(2, ".jpg"), "");
  expect_refused("the file is empty", "img2.jpg");
  write(picture(2, ".jpg"), "\xff\xd8\xff\xd9");
  expect_refused("img2.jpg", "cannot be decoded");
}

TEST_F(PictureClip, RefusesMoreThanOnePictureInAFile) {
  make(".webp", {"-c:v", "libwebp"});
  ffmpeg({"-f", "lavfi", "-i", "testsrc2=size=66x50:rate=3:duration=1", "-c:v", "libwebp_anim", (folder() / "a.webp").string()});
  fs::rename(folder() / "a.webp", picture(5, ".webp"));
  expect_refused("the picture cannot be decoded", "img5.webp");
}

TEST_F(PictureClip, KeepsTheLimitOfPixels) {
  make();
  ReadLimits limits;
  limits.max_pixels = 66 * 50;
  VideoReader::Options options = hashes();
  options.limits = limits;
  EXPECT_EQ(int64_t(frames_of(clip_of(folder()), options).size()), pictures);
  limits.max_pixels = 66 * 50 - 1;
  expect_refused(clip_of(folder()), limits, "the picture has 66 x 50 pixels, over the limit max_pixels = 3299", "img1.png");
  ffmpeg({"-f", "lavfi", "-i", "color=red:size=5000x4000", "-frames:v", "1", picture(9).string()});
  expect_refused("the picture has 5000 x 4000 pixels, over the limit max_pixels", "img9.png");
}

TEST_F(PictureClip, RefusesTheFolderWithoutARate) {
  make();
  const Error error = test::expect_error(
      ErrorKind::data, [&] { probe(folder()); }, "this is a folder");
  EXPECT_THAT(error.next_step(), HasSubstr("--frame-rate"));
  EXPECT_THAT(error.next_step(), HasSubstr("\"frame_rate\""));
}

TEST_F(PictureClip, RefusesARateOfAFile) {
  make();
  const Error error = test::expect_error(
      ErrorKind::data, [&] { probe(clip_of(picture(1))); }, "this is no folder of pictures");
  EXPECT_THAT(error.next_step(), HasSubstr("leave the frame rate out"));
  MediaInput memory(std::make_shared<const std::string>(read_file(picture(1))), "in memory");
  memory.frame_rate = 25;
  expect_refused(memory, {}, "no folder of pictures", "in memory");
  expect_refused(clip_of(folder() / "nowhere"), {}, "there is no such file or folder");
}

TEST_F(PictureClip, RefusesRatesThatAreNone) {
  make();
  for (const double rate : {-25.0, 1e-9, 1e9, std::nan(""), std::numeric_limits<double>::infinity()})
    test::expect_error(
        ErrorKind::config, [&] { probe(clip_of(folder(), rate)); }, "a frame rate of");
}

TEST_F(PictureClip, HasOneStreamAndNoSound) {
  make();
  MediaInput input = clip_of(folder());
  input.video_stream = 0;
  EXPECT_EQ(int64_t(frames_of(input).size()), pictures);
  input.video_stream = 1;
  expect_refused(input, {}, "stream 1 is not there");
  input.video_stream = -1, input.audio_stream = 0;
  expect_refused(input, {}, "stream 0 is not there");
  test::expect_error(
      ErrorKind::data, [&] { read_sound(clip_of(folder())); }, "a folder of pictures has no sound stream");
  test::expect_error(
      ErrorKind::data, [&] { AudioReader reader(clip_of(folder())); }, "a folder of pictures has no sound stream");
}

TEST_F(PictureClip, NamesAPictureThatIsGone) {
  make();
  VideoReader reader(clip_of(folder()), hashes());
  reader.next();
  fs::remove(picture(4));
  test::expect_error(
      ErrorKind::data,
      [&] {
        while (reader.next()) {
        }
      },
      "img4.png");
}

/// A JPEG whose EXIF segment asks for this orientation.
std::string with_orientation(std::string bytes, char orientation) {
  std::string exif(
      "\xff\xe1\x00\x22"
      "Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0",
      36);
  exif[29] = orientation;
  return bytes.insert(2, exif);
}

TEST_F(PictureClip, ObeysTheOrientationOfPhotographs) {
  make(".jpg");
  const auto plain = frames_of(clip_of(folder()));
  for (int64_t i = 1; i <= pictures; ++i) write(picture(i, ".jpg"), with_orientation(read_file(picture(i, ".jpg")), 6));
  const VideoInfo info = probe(clip_of(folder()));
  EXPECT_EQ(std::tuple(info.width, info.height, info.rotation), std::tuple(50, 66, 90));
  const auto turned = frames_of(clip_of(folder())), shown = frames_of(clip_of(folder()), {});
  for (size_t i = 0; i < turned.size(); ++i) {
    EXPECT_EQ(turned[i].md5, plain[i].md5) << "planes are hashed as they are decoded";
    EXPECT_EQ(shown[i].rgb.pixels, read_image(picture(int64_t(i) + 1, ".jpg")).pixels);
  }
}

TEST_F(PictureClip, RefusesAnOrientationThatChanges) {
  make(".jpg");
  write(picture(5, ".jpg"), with_orientation(read_file(picture(5, ".jpg")), 3));
  expect_refused("the picture size changes from 66 x 50 to 66 x 50 turned by 180 degrees", "img5.jpg");
}

TEST_F(PictureClip, RefusesMirroredPictures) {
  make(".jpg");
  for (const char orientation : {2, 4, 5, 7}) {
    const std::string bytes = read_file(picture(1, ".jpg"));
    write(picture(1, ".jpg"), with_orientation(bytes, orientation));
    expect_refused("shown mirrored", "img1.jpg");
    write(picture(1, ".jpg"), bytes);
  }
}

/// Every face with its box and landmarks.
std::vector<double> faces_of(const MediaInput& input) {
  VideoReader reader(input);
  FaceTracker tracker;
  while (auto frame = reader.next()) tracker.add(frame->rgb);
  std::vector<double> values;
  const auto frames = tracker.finish();
  for (size_t i = 0; i < frames.size(); ++i)
    for (const Face& face : frames[i]) {
      values.insert(values.end(), {double(i), double(face.track), face.score, face.box.left, face.box.top});
      for (const Point& point : face.landmarks) values.insert(values.end(), {point.x, point.y});
    }
  return values;
}

TEST_F(PictureClip, HasTheFacesOfALosslessVideo) {
  const auto photograph = test::test_media("grace_hopper_512x512.jpg");
  if (!photograph) GTEST_SKIP() << test::no_test_media("grace_hopper_512x512.jpg");
  const TemporaryFolder other;
  ffmpeg({"-loop", "1", "-i", photograph->string(), "-frames:v", "10", "-vf", "scale=300:300,rotate=n/100", "-pix_fmt", "rgb24",
          (folder() / "img%d.png").string()});
  const fs::path video = other.path() / "lossless.mkv";
  ffmpeg({"-framerate", "25", "-i", (folder() / "img%d.png").string(), "-c:v", "ffv1", "-pix_fmt", "bgr0", video.string()});
  const std::vector<double> expected = faces_of(video);
  EXPECT_EQ(expected.size(), 10u * (5 + 2 * 68));
  EXPECT_EQ(faces_of(clip_of(folder())), expected);
}

}  // namespace
}  // namespace microemo::media
