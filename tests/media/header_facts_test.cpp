// MP4 and MOV files are opened for their pictures from header and first packets alone: against libav's own search (probe), and
// against the ffmpeg program's framemd5.
#include <sstream>

#include <gtest/gtest.h>

#include "clips.h"
#include "microemo/media/frame_reader.h"

namespace microemo::media {
namespace {

using test::Clips;
using Words = std::vector<std::string>;

struct Hash {
  int64_t pts;
  std::string md5;
  bool operator==(const Hash&) const = default;
};

std::vector<Hash> by_ffmpeg(const std::filesystem::path& path) {
  std::vector<Hash> hashes;
  for (const std::string& line :
       test::lines_of({"ffmpeg", "-v", "quiet", "-noautorotate", "-i", path.string(), "-map", "0:v:0", "-copyts", "-vsync",
                       "passthrough", "-enc_time_base", "-1", "-f", "framemd5", "-"})) {
    if (line.starts_with('#')) continue;
    std::istringstream fields(line);
    std::string stream, dts, pts, duration, size, md5;
    std::getline(fields, stream, ','), std::getline(fields, dts, ','), std::getline(fields, pts, ',');
    std::getline(fields, duration, ','), std::getline(fields, size, ','), std::getline(fields >> std::ws, md5);
    hashes.push_back({std::stoll(pts), md5});
  }
  return hashes;
}

std::vector<Hash> by_reader(const std::filesystem::path& path) {
  VideoReader::Options options;
  options.md5 = true, options.rgb = false;
  VideoReader reader(path, options);
  std::vector<Hash> hashes;
  while (const auto frame = reader.next()) hashes.push_back({frame->pts, frame->md5});
  return hashes;
}

void expect_same_facts(const std::filesystem::path& path) {
  SCOPED_TRACE(path.filename().string());
  const VideoInfo searched = probe(path), told = VideoReader(path).info();
  EXPECT_EQ(told.width, searched.width);
  EXPECT_EQ(told.height, searched.height);
  EXPECT_EQ(told.rotation, searched.rotation);
  EXPECT_EQ(told.start_s, searched.start_s);
  EXPECT_EQ(told.duration_s, searched.duration_s);
  EXPECT_EQ(told.time_base_num, searched.time_base_num);
  EXPECT_EQ(told.time_base_den, searched.time_base_den);
  EXPECT_EQ(told.container, searched.container);
  EXPECT_EQ(told.video_codec, searched.video_codec);
  EXPECT_EQ(told.audio_codec, searched.audio_codec);
  EXPECT_EQ(told.has_audio, searched.has_audio);
  EXPECT_EQ(told.video_stream, searched.video_stream);
  EXPECT_EQ(told.audio_stream, searched.audio_stream);
  EXPECT_EQ(told.streams, searched.streams);
}

void expect_as_ffmpeg(const std::filesystem::path& path) {
  expect_same_facts(path);
  EXPECT_EQ(by_reader(path), by_ffmpeg(path)) << path.filename();
}

/// Bits of an H.264 parameter set.
class Bits {
 public:
  explicit Bits(std::string& bytes) : bytes_(bytes) {}
  uint32_t take(int count) {
    uint32_t value = 0;
    for (; count > 0; --count, ++place_) value = 2 * value + (uint8_t(bytes_[place_ / 8]) >> (7 - place_ % 8) & 1);
    return value;
  }
  uint32_t golomb() {
    int zeros = 0;
    while (take(1) == 0) ++zeros;
    return (1U << zeros) - 1 + take(zeros);
  }
  /// Ends the set here: a zero, the stop bit, and nothing behind them.
  void end() {
    for (bool first : {true, false}) {
      auto& byte = bytes_[place_ / 8];
      const int bit = 1 << (7 - place_ % 8);
      byte = char(first ? uint8_t(byte) & ~bit : uint8_t(byte) | bit);
      ++place_;
    }
    for (; place_ < 8 * bytes_.size(); ++place_)
      bytes_[place_ / 8] = char(uint8_t(bytes_[place_ / 8]) & ~(1 << (7 - place_ % 8)));
  }

 private:
  std::string& bytes_;
  size_t place_ = 0;
};

/// An MP4 file of x264 (high profile, progressive) whose stream no longer says how far pictures are reordered (ITU-T
/// H.264, 7.3.2.1).
std::filesystem::path without_usability_information(const Clips& clips, const std::filesystem::path& path) {
  std::string file = read_file(path);
  const size_t box = file.find("avcC");
  const size_t length = size_t(uint8_t(file.at(box + 10))) << 8 | uint8_t(file.at(box + 11));
  std::string set = file.substr(box + 12, length);
  Bits bits(set);
  EXPECT_EQ(bits.take(8) & 31, 7U);
  EXPECT_EQ(bits.take(8), 100U);
  bits.take(16);
  bits.golomb();
  EXPECT_EQ(bits.golomb(), 1U);  // 4:2:0
  bits.golomb(), bits.golomb();
  EXPECT_EQ(bits.take(2), 0U);
  bits.golomb();
  if (bits.golomb() == 0) bits.golomb();
  bits.golomb();
  bits.take(1);
  bits.golomb(), bits.golomb();
  EXPECT_EQ(bits.take(1), 1U);  // frames
  bits.take(1);
  if (bits.take(1))
    for (int side = 0; side < 4; ++side) bits.golomb();
  bits.end();
  return clips.write("silent-" + path.filename().string(), file.replace(box + 12, length, set));
}

TEST(HeaderFacts, AreThoseOfLibavsSearchInEveryKindOfMp4) {
  const Clips clips;
  expect_as_ffmpeg(clips.make("plain.mp4"));
  expect_as_ffmpeg(clips.make("plain.mov"));
  expect_as_ffmpeg(clips.make("silent.mp4", {"-an"}));
  expect_as_ffmpeg(clips.make("faststart.mp4", {"-movflags", "+faststart"}));
  expect_as_ffmpeg(clips.make("fragments.mp4", {"-movflags", "+frag_keyframe+empty_moov"}));
  expect_as_ffmpeg(clips.make("cropped.mp4", {"-vf", "scale=150:106"}));
  expect_as_ffmpeg(clips.make("hevc.mp4", {"-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none"}));
  expect_as_ffmpeg(clips.make("late-sound.mp4", {"-af", "asetpts=PTS+0.7/TB"}));
  expect_as_ffmpeg(clips.make("late-pictures.mp4", {"-vf", "setpts=PTS+0.7/TB"}));
  expect_as_ffmpeg(clips.make("mono-8k.mp4", {"-ar", "8000", "-ac", "1"}));
  expect_as_ffmpeg(clips.make("mpeg4.mp4", {"-c:v", "mpeg4"}));
  expect_as_ffmpeg(clips.make("one-picture.mp4", {"-frames:v", "1"}));
  expect_as_ffmpeg(clips.make("fewer-than-read-ahead.mp4", {"-frames:v", "7"}));
}

TEST(HeaderFacts, AreThoseOfLibavsSearchBehindAnEditList) {
  const Clips clips;
  const auto whole = clips.make("whole.mp4");
  test::ffmpeg({"-ss", "0.7", "-i", whole.string(), "-c", "copy", clips.path("cut.mp4").string()});
  expect_same_facts(clips.path("cut.mp4"));
  test::ffmpeg({"-itsoffset", "0.5", "-i", whole.string(), "-i", whole.string(), "-map", "0:v", "-map", "1:a", "-c", "copy",
                clips.path("shifted.mp4").string()});
  expect_same_facts(clips.path("shifted.mp4"));
  test::ffmpeg({"-i", whole.string(), "-metadata:s:v", "rotate=90", "-c", "copy", clips.path("turned.mp4").string()});
  expect_as_ffmpeg(clips.path("turned.mp4"));
}

TEST(HeaderFacts, KnowTheOrderOfPicturesWhereTheStreamDoesNotTellIt) {
  const Clips clips;
  for (const char* b_frames : {"0", "2", "5"}) {
    const auto path = clips.make(std::string("b") + b_frames + ".mp4",
                                 {"-bf", b_frames, "-profile:v", "high", "-x264-params", "b-pyramid=normal:b-adapt=0"});
    const auto silent = without_usability_information(clips, path);
    EXPECT_EQ(by_reader(silent), by_ffmpeg(path)) << b_frames << " frames";
    expect_same_facts(silent);
  }
}

TEST(HeaderFacts, AreLeftToTheSearchWhereTheHeaderIsWrongAboutTheSize) {
  const Clips clips;
  std::string file = read_file(clips.make("right.mp4", {"-an"}));
  const size_t entry = file.rfind("avc1");
  ASSERT_EQ(file.substr(entry + 28, 4), std::string("\0\xa0\0\x78", 4));  // 160 x 120
  file[entry + 29] = '\x50';
  const auto wrong = clips.write("wrong.mp4", file);
  expect_same_facts(wrong);
  EXPECT_EQ(VideoReader(wrong).info().width, 160);
  EXPECT_EQ(by_reader(wrong), by_ffmpeg(clips.path("right.mp4")));
}

TEST(HeaderFacts, OfBytesInMemoryAreThoseOfTheFile) {
  const Clips clips;
  const auto path = clips.make("a.mp4");
  const MediaInput bytes(std::make_shared<const std::string>(read_file(path)), "upload");
  FrameReader from_memory(bytes), from_file(path);
  ASSERT_EQ(from_memory.frames().size(), from_file.frames().size());
  for (const int64_t index : {31L, 2L, 49L, 0L})
    EXPECT_EQ(from_memory.read({index})[0].rgb.pixels, from_file.read({index})[0].rgb.pixels) << index;
}

}  // namespace
}  // namespace microemo::media
