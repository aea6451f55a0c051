#include "microemo/report/overlay_video.h"

#include <gtest/gtest.h>

#include "media/clips.h"
#include "microemo/base/workers.h"
#include "microemo/media/sound.h"
#include "microemo/media/video_reader.h"
#include "support/errors.h"

namespace microemo::report {
namespace {

using test::expect_error;

/// Times of the frames as ffprobe tells them, from the start of the file on.
std::vector<double> frame_times(const std::filesystem::path& path) {
  const double start = std::stod(
      test::lines_of({"ffprobe", "-v", "error", "-show_entries", "format=start_time", "-of", "default=nk=1:nw=1", path.string()})
          .front());
  std::vector<double> times;
  for (const std::string& line : test::lines_of({"ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries",
                                                 "frame=best_effort_timestamp_time", "-of", "default=nk=1:nw=1", path.string()}))
    if (!line.empty()) times.push_back(std::stod(line) - start);
  return times;
}

std::vector<std::string> streams(const std::filesystem::path& path) {
  return test::lines_of(
      {"ffprobe", "-v", "error", "-show_entries", "stream=codec_type,codec_name", "-of", "csv=p=0", path.string()});
}

struct OverlayVideos : testing::Test {
  test::Clips clips;
  std::filesystem::path out = clips.path("overlay.mp4");

  OverlayVideo job(const std::filesystem::path& video) const {
    return {video, out, {0, {{0.2, 1, "\u9AD8\u5174"}}, {{0.2, 1, "joy"}}}, {}};
  }
  void expect_same_times(const std::filesystem::path& video) const {
    ASSERT_TRUE(write_overlay_video(job(video)));
    const std::vector<double> expected = frame_times(video), times = frame_times(out);
    ASSERT_EQ(times.size(), expected.size());
    for (size_t i = 0; i < times.size(); ++i) EXPECT_NEAR(times[i], expected[i], 2e-6) << video << " frame " << i;
    EXPECT_NEAR(media::probe(out).duration_s, media::probe(video).duration_s, 0.07) << video;
  }
};

TEST_F(OverlayVideos, HaveTheFramesOfTheirSourceAtTheSameTimes) {
  for (const char* name : {"a.mp4", "a.ts", "a.mov"}) expect_same_times(clips.make(name, {"-c:a", "aac"}));
  expect_same_times(clips.make("b.mkv", {"-c:a", "libopus"}));
  expect_same_times(clips.make("c.avi", {"-c:a", "pcm_s16le", "-bf", "0"}));
}

TEST_F(OverlayVideos, KeepAVariableRate) {
  expect_same_times(clips.make("a.mkv", {"-vf", "select='lt(n,9)+not(mod(n,4))+eq(n,31)'", "-vsync", "vfr", "-c:a", "aac"}));
  expect_same_times(clips.make("b.mp4", {"-vf", "select='gt(n,5)*not(mod(n,7))'", "-vsync", "vfr", "-c:a", "aac"}));
}

TEST_F(OverlayVideos, KeepTheSound) {
  const auto copied = clips.make("a.mp4", {"-c:a", "aac"}), anew = clips.make("a.avi", {"-c:a", "pcm_s16le"});
  for (const auto& video : {copied, anew}) {
    ASSERT_TRUE(write_overlay_video(job(video)));
    EXPECT_EQ(streams(out), (std::vector<std::string>{"h264,video", "aac,audio"}));
    const media::Sound expected = media::read_sound(video), sound = media::read_sound(out);
    EXPECT_NEAR(sound.start_s, expected.start_s, 0.002);
    EXPECT_NEAR(sound.end_s(), expected.end_s(), 0.07);
  }
}

TEST_F(OverlayVideos, HaveNoSoundWhereTheSourceHasNone) {
  ASSERT_TRUE(write_overlay_video(job(clips.make("a.mp4", {"-an"}))));
  EXPECT_EQ(streams(out), (std::vector<std::string>{"h264,video"}));
}

TEST_F(OverlayVideos, StandUprightAndShowThePictureOfTheirSource) {
  const auto flat = clips.make("a.mp4"), turned = clips.path("turned.mp4");
  test::ffmpeg({"-i", flat.string(), "-c", "copy", "-metadata:s:v", "rotate=90", turned.string()});
  ASSERT_TRUE(write_overlay_video(job(turned)));
  media::VideoReader source(turned), overlay(out);
  const media::Image expected = source.next()->rgb, page = overlay.next()->rgb;
  ASSERT_EQ(expected.width, 120);
  const int scale = 480 / 120;
  double difference = 0;
  for (int y = 2; y < expected.height - 2; ++y)
    for (int x = 2; x < expected.width - 2; ++x)
      difference += std::abs(int(expected.row(y)[3 * x + 1]) - int(page.row(y * scale + 2)[3 * (x * scale + 2) + 1]));
  EXPECT_LT(difference / expected.width / expected.height, 12);
}

TEST_F(OverlayVideos, AreNotWrittenWhenAStopIsRequested) {
  const auto video = clips.make("a.mp4");
  const auto before = std::distance(std::filesystem::directory_iterator(video.parent_path()), {});
  request_stop();
  const bool is_whole = write_overlay_video(job(video));
  clear_stop_request();
  EXPECT_FALSE(is_whole);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(video.parent_path()), {}), before);
}

TEST_F(OverlayVideos, LeaveNothingOfABrokenSource) {
  const auto half = clips.cut(clips.make("a.mkv"), "half.mkv", 0.5);
  expect_error(
      ErrorKind::data, [&] { write_overlay_video(job(half)); }, "half.mkv");
  EXPECT_FALSE(std::filesystem::exists(out));
}

TEST_F(OverlayVideos, RefuseAVideoThatChangesItsSize) {
  const auto small = clips.make("a.ts"), large = clips.make("b.ts", {"-s", "320x240"});
  const auto both = clips.write("both.ts", read_file(small) + read_file(large));
  expect_error(
      ErrorKind::data, [&] { write_overlay_video(job(both)); }, "both.ts");
  EXPECT_FALSE(std::filesystem::exists(out));
}

TEST_F(OverlayVideos, RefuseWrongPlaces) {
  const auto video = clips.make("a.mp4");
  OverlayVideo wrong = job(video);
  wrong.out = video;
  expect_error(
      ErrorKind::config, [&] { write_overlay_video(wrong); }, "would replace the video");
  std::filesystem::create_symlink(video, clips.path("link.mp4"));
  wrong.out = clips.path("link.mp4");
  expect_error(
      ErrorKind::config, [&] { write_overlay_video(wrong); }, "would replace the video");
  wrong.out = clips.path("overlay.avi");
  expect_error(
      ErrorKind::config, [&] { write_overlay_video(wrong); }, "an overlay is an MP4");
  wrong.out = clips.write("file", "x") / "overlay.mp4";
  expect_error(
      ErrorKind::environment, [&] { write_overlay_video(wrong); }, "/file");
}

TEST_F(OverlayVideos, RefuseVideosThatAreNone) {
  expect_error(
      ErrorKind::data, [&] { write_overlay_video(job(clips.path("missing.mp4"))); }, "missing.mp4");
  expect_error(
      ErrorKind::data, [&] { write_overlay_video(job(clips.write("words.mp4", "words"))); }, "words.mp4");
  expect_error(
      ErrorKind::data, [&] { write_overlay_video(job(clips.make("sound.m4a", {"-vn"}))); }, "sound.m4a");
  EXPECT_FALSE(std::filesystem::exists(out));
}

TEST_F(OverlayVideos, RefuseWordsAndLabelsBehindTheEndOfTheClip) {
  OverlayVideo late = job(clips.make("a.mp4"));
  late.overlay.words[0].end_s = 2.5;
  expect_error(
      ErrorKind::data, [&] { write_overlay_video(late); }, "after the clip");
  late.overlay.words.clear();
  late.overlay.labels[0].end_s = 9;
  expect_error(
      ErrorKind::data, [&] { write_overlay_video(late); }, "ends at 9.000 s, after the clip");
  EXPECT_FALSE(std::filesystem::exists(out));
}

}  // namespace
}  // namespace microemo::report
