#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include <gtest/gtest.h>

#include "clips.h"
#include "microemo/media/sound.h"
#include "support/errors.h"

namespace microemo::media {
namespace {

using test::Clips;
using test::decoded_by_ffmpeg;
using test::expect_error;
using test::ffmpeg;

/// A codec in a container, four seconds of noise and tones in stereo beside a small picture where the container has one.
struct Kind {
  const char* file;
  std::vector<std::string> options;
};

std::filesystem::path made(const Clips& clips, const Kind& kind) {
  std::vector<std::string> words = {"-f", "lavfi", "-i",
                                    "aevalsrc=0.3*sin(2*PI*(200+150*t)*t)+0.1*(random(0)-0.5)|0.2*sin(2*PI*700*t):s=48000:d=4"};
  words.insert(words.end(), kind.options.begin(), kind.options.end());
  words.push_back(clips.path(kind.file).string());
  ffmpeg(words);
  return clips.path(kind.file);
}

const std::vector<Kind>& kinds() {
  static const std::vector<Kind> all = {
      {"aac.mp4", {"-c:a", "aac"}},
      {"mp3.mp4", {"-c:a", "libmp3lame"}},
      {"opus.mp4", {"-c:a", "libopus"}},
      {"flac.mp4", {"-c:a", "flac", "-strict", "-2"}},
      {"aac.mkv", {"-c:a", "aac"}},
      {"opus.mkv", {"-c:a", "libopus"}},
      {"flac.mkv", {"-c:a", "flac"}},
      {"pcm.mkv", {"-c:a", "pcm_s24le"}},
      {"opus.webm", {"-c:a", "libopus"}},
      {"vorbis.webm", {"-c:a", "libvorbis"}},
      {"aac.ts", {"-c:a", "aac"}},
      {"mp3.ts", {"-c:a", "libmp3lame"}},
      {"mp3.avi", {"-c:a", "libmp3lame"}},
      {"ac3.avi", {"-c:a", "ac3"}},
      {"pcm.avi", {"-c:a", "pcm_s16le"}},
      {"pcm.mov", {"-c:a", "pcm_f32le"}},
      {"aac.mov", {"-c:a", "aac"}},
      {"u8.wav", {"-c:a", "pcm_u8"}},
      {"s16.wav", {"-c:a", "pcm_s16le"}},
      {"s32.wav", {"-c:a", "pcm_s32le"}},
      {"double.wav", {"-c:a", "pcm_f64le"}},
      {"a.mp3", {"-c:a", "libmp3lame"}},
      {"a.flac", {}},
      {"a.ogg", {"-c:a", "libvorbis"}},
      {"resampled.mp4", {"-c:a", "aac", "-ar", "44100"}},
      {"slow.mp3", {"-c:a", "libmp3lame", "-ar", "22050", "-ac", "1"}},
  };
  return all;
}

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double worst = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) worst = std::max(worst, std::abs(double(a[i]) - b[i]));
  return worst;
}

TEST(AudioReaders, EqualFfmpegInEveryContainerAndCodec) {
  for (const Kind& kind : kinds()) {
    const Clips clips;
    const auto path = made(clips, kind);
    const bool mono = std::string(kind.file) == "slow.mp3";
    const std::string mix = mono ? "aresample=16000" : "aformat=flt,pan=mono|c0=0.5*c0+0.5*c1,aresample=16000";
    const auto expected = decoded_by_ffmpeg(clips, path, mix);
    const Sound sound = read_sound(path);
    ASSERT_EQ(sound.samples.size(), expected.size()) << kind.file;
    EXPECT_LT(largest_difference(sound.samples, expected), 1e-6) << kind.file;
  }
}

TEST(AudioReaders, GiveWindowsEqualToTheWholeInAnyOrder) {
  std::mt19937 random(1);
  for (const Kind& kind : kinds()) {
    const Clips clips;
    const auto path = made(clips, kind);
    for (const Resampling resampling : {Resampling::swresample, Resampling::soxr, Resampling::sinc}) {
      const SoundOptions options{.rate = 16000, .resampling = resampling, .limits = {}};
      const Sound whole = read_sound(path, options);
      AudioReader reader(path, options);
      EXPECT_EQ(reader.start_s(), whole.start_s) << kind.file;
      for (int i = 0; i < 6; ++i) {
        const int64_t begin = int64_t(random() % whole.samples.size()), end = begin + int64_t(random() % 20000);
        const Sound window = reader.window(whole.start_s + double(begin) / 16000, whole.start_s + double(end) / 16000);
        const auto last = std::min<int64_t>(end, int64_t(whole.samples.size()));
        const std::vector<float> expected(whole.samples.begin() + begin, whole.samples.begin() + last);
        ASSERT_EQ(window.samples, expected) << kind.file << " from " << begin << " to " << end;
        EXPECT_NEAR(window.start_s, whole.start_s + double(begin) / 16000, 1e-9);
      }
    }
  }
}

TEST(AudioReaders, CutAtTheNearestSample) {
  const Clips clips;
  const auto path = made(clips, {"s16.wav", {}});
  AudioReader reader(path);
  EXPECT_EQ(reader.window(0.10001, 0.20003).samples.size(), 1600u);
  EXPECT_EQ(reader.window(0.5 - 0.6 / 16000, 0.5).samples.size(), 1u);
  EXPECT_TRUE(reader.window(0.5, 0.5).samples.empty());
  EXPECT_EQ(reader.window(-3, 1).samples.size(), 16000u);
  EXPECT_EQ(reader.window(3.5, 9).samples.size(), 8000u);
  EXPECT_TRUE(reader.window(7, 9).samples.empty());
  EXPECT_TRUE(reader.window(1e300, 1e300).samples.empty());
}

TEST(AudioReaders, CountWindowsOnTheClipsClock) {
  const Clips clips;
  const auto path = clips.make("a.mp4");
  ffmpeg({"-i", path.string(), "-itsoffset", "0.5", "-i", path.string(), "-map", "0:v", "-map", "1:a", "-c", "copy",
          clips.path("late.mkv").string()});
  const Sound whole = read_sound(clips.path("late.mkv"));
  AudioReader reader(clips.path("late.mkv"));
  const Sound window = reader.window(0, 1);
  EXPECT_EQ(window.start_s, whole.start_s);
  EXPECT_EQ(int64_t(window.samples.size()), std::llround((1 - whole.start_s) * 16000));
}

TEST(AudioReaders, KeepTimesAcrossAHole) {
  const Clips clips;
  const auto path = clips.path("hole.mkv");
  ffmpeg({"-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=3", "-af", "aselect='not(between(t,1,1.5))'",
          "-c:a", "pcm_s16le", path.string()});
  for (const Resampling resampling : {Resampling::swresample, Resampling::soxr, Resampling::sinc}) {
    const Sound sound = read_sound(path, {.resampling = resampling, .limits = {}});
    EXPECT_NEAR(sound.end_s(), 3, 0.01);
    EXPECT_EQ(*std::max_element(sound.samples.begin() + 17000, sound.samples.begin() + 23000), 0);
    AudioReader reader(path, {.resampling = resampling, .limits = {}});
    const Sound window = reader.window(1.25, 2);
    EXPECT_EQ(window.samples, std::vector<float>(sound.samples.begin() + 20000, sound.samples.begin() + 32000));
  }
}

/// A tone of its own in every channel.
std::filesystem::path in_layout(const Clips& clips, const std::string& layout, int channels) {
  std::string expressions;
  for (int c = 0; c < channels; ++c)
    expressions += (c ? "|" : "") + std::string("0.9*sin(2*PI*") + std::to_string(200 + 170 * c) + "*t)";
  const auto path = clips.path("a.wav");
  ffmpeg({"-f", "lavfi", "-i", "aevalsrc=" + expressions + ":s=16000:d=1:c=" + layout, "-c:a", "pcm_f32le", path.string()});
  return path;
}

TEST(AudioReaders, MixLikeSwresampleAtUnitSum) {
  for (const auto& [layout, channels] : {std::pair<std::string, int>{"mono", 1},
                                         {"stereo", 2},
                                         {"2.1", 3},
                                         {"3.0", 3},
                                         {"quad", 4},
                                         {"4.0", 4},
                                         {"5.0", 5},
                                         {"5.1", 6},
                                         {"5.1(side)", 6},
                                         {"6.1", 7},
                                         {"7.1", 8}}) {
    const Clips clips;
    const auto path = in_layout(clips, layout, channels);
    const auto expected = decoded_by_ffmpeg(clips, path, "aresample=rematrix_maxval=1,aformat=flt:channel_layouts=mono");
    const Sound sound = read_sound(path);
    ASSERT_EQ(sound.samples.size(), expected.size()) << layout;
    EXPECT_LT(largest_difference(sound.samples, expected), 1e-6) << layout;
  }
}

TEST(AudioReaders, GiveTheMeanOfChannelsWithoutAnOrder) {
  const Clips clips;
  std::string bytes;
  for (int i = 0; i < 16000; ++i)
    for (int c = 0; c < 12; ++c) {
      const float sample = 0.01F * float(c);
      bytes.append(reinterpret_cast<const char*>(&sample), sizeof sample);
    }
  const auto raw = clips.write("twelve.f32", bytes), path = clips.path("a.wav");
  ffmpeg({"-f", "f32le", "-ar", "16000", "-ac", "12", "-i", raw.string(), "-c:a", "pcm_f32le", path.string()});
  for (const float sample : read_sound(path).samples) ASSERT_NEAR(sample, 0.055, 1e-6);
}

TEST(AudioReaders, GiveLowFrequenciesWhereThereIsNothingElse) {
  const Clips clips;
  const auto path = clips.path("a.wav");
  ffmpeg({"-f", "lavfi", "-i", "aevalsrc=0.25:s=16000:d=1:c=LFE", "-c:a", "pcm_f32le", path.string()});
  EXPECT_NEAR(read_sound(path).samples[8000], 0.25, 1e-6);
}

TEST(AudioReaders, RefuseWindowsThatAreNone) {
  const Clips clips;
  AudioReader reader(made(clips, {"s16.wav", {}}));
  for (const auto& [begin, end] : {std::pair<double, double>{1, 0.5}, {NAN, 1}, {0, NAN}, {-INFINITY, 1}, {0, INFINITY}})
    expect_error(
        ErrorKind::config, [&, b = begin, e = end] { reader.window(b, e); }, "a window of the sound");
  expect_error(
      ErrorKind::config, [&] { reader.window(0, 1e6); }, "max_seconds");
}

TEST(AudioReaders, RefuseAFileThatEndsBeforeItsTimeWhenTheyGetThere) {
  const Clips clips;
  const auto path = clips.cut(clips.make("a.mkv"), "cut.mkv", 0.5);
  AudioReader reader(path);
  EXPECT_GT(reader.window(0, 0.25).samples.size(), 3900u);
  expect_error(
      ErrorKind::data, [&] { reader.window(0, 2); }, "truncated");
}

TEST(AudioReaders, RefuseFilesWithoutSound) {
  const Clips clips;
  const auto silent = clips.make("silent.mp4", {"-an"});
  expect_error(
      ErrorKind::data, [&] { AudioReader{silent}; }, "no sound stream");
  expect_error(
      ErrorKind::data, [] { AudioReader{"/nowhere/a.wav"}; }, "no such file");
}

TEST(AudioReaders, RefuseARateThatIsNone) {
  const Clips clips;
  const auto path = clips.path("slow.wav");
  ffmpeg({"-f", "lavfi", "-i", "aevalsrc=0.1:s=50:d=20", path.string()});
  expect_error(
      ErrorKind::data, [&] { read_sound(path); }, "a rate of 50 Hz");
}

TEST(AudioReaders, WithoutARateAreAMistake) {
  expect_error(
      ErrorKind::internal, [] { AudioReader("a.wav", {.rate = 0, .limits = {}}); }, "a sample rate of 0");
}

}  // namespace
}  // namespace microemo::media
