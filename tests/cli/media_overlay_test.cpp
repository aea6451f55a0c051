#include <csignal>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "media/clips.h"
#include "microemo/base/json.h"
#include "microemo/media/video_reader.h"
#include "support/errors.h"

namespace microemo::cli {
namespace {

using test::CommandResult;
using testing::HasSubstr;

constexpr char words[] = "1\n00:00:00,200 --> 00:00:01,000\n\u4ED6\u5F88\u9AD8\u5174\n";

struct MediaOverlay : testing::Test {
  test::Clips clips;
  std::string video = clips.make("clip.mp4").string(), out = clips.path("overlay.mp4").string();

  CommandResult overlay(const std::vector<std::string>& more = {}, const std::string& source = {}) const {
    std::vector<std::string> all = {MICROEMO_BINARY, "--quiet", "media", "overlay", source.empty() ? video : source,
                                    "--out",         out};
    all.insert(all.end(), more.begin(), more.end());
    return test::run_command(all);
  }
  static Json prediction() {
    return {{"video", "elsewhere/clip.mp4"},
            {"duration_s", 2.0},
            {"utterances", {{{"start_s", 0.2}, {"end_s", 1.0}, {"text", "yes"}, {"labels", {"\u9AD8\u5174", "joy"}}}}}};
  }
  std::string written(const Json& json) const { return clips.write("prediction.json", json.dump()).string(); }
  void expect_refused(const CommandResult& result, ErrorKind kind, const std::string& message) const {
    EXPECT_EQ(result.exit_code, exit_code(kind)) << message;
    EXPECT_THAT(result.standard_error, HasSubstr(message));
    EXPECT_THAT(result.standard_error, HasSubstr("next"));
    EXPECT_FALSE(std::filesystem::exists(out));
  }
};

TEST_F(MediaOverlay, IsWrittenWithWordsAndLabels) {
  const CommandResult result = overlay({"--transcript", clips.write("a.srt", words).string(), "--labels", written(prediction())});
  ASSERT_EQ(result.exit_code, 0) << result.standard_error;
  EXPECT_THAT(result.standard_output, HasSubstr("overlay.mp4"));
  const media::VideoInfo info = media::probe(out);
  EXPECT_EQ(info.width, 480);
  EXPECT_EQ(info.audio_codec, "aac");
}

TEST_F(MediaOverlay, TakesTheWordsOfAPredictionWhereThereIsNoTranscript) {
  ASSERT_EQ(overlay({"--labels", written(prediction())}).exit_code, 0);
  const int with_words = media::probe(out).height;
  Json silent = prediction();
  silent["utterances"][0]["text"] = "";
  ASSERT_EQ(overlay({"--labels", written(silent)}).exit_code, 0);
  EXPECT_LT(media::probe(out).height, with_words);
}

TEST_F(MediaOverlay, RefusesLabelsOfAnotherClip) {
  Json other = prediction();
  other["video"] = "clip2.mp4";
  expect_refused(overlay({"--labels", written(other)}), ErrorKind::data, "those of another clip: clip2.mp4 and not clip.mp4");
  other = prediction();
  other["duration_s"] = 7.5;
  expect_refused(overlay({"--labels", written(other)}), ErrorKind::data, "one of 7.500 s, and this one has 2.");
}

TEST_F(MediaOverlay, RefusesWhatIsNoPrediction) {
  const auto refused = [&](const Json& json, const std::string& message) {
    expect_refused(overlay({"--labels", written(json)}), ErrorKind::data, message);
  };
  refused(Json::array(), "it has no list of \"utterances\"");
  refused({{"video", "clip.mp4"}}, "it has no list of \"utterances\"");
  refused({{"utterances", Json::array()}}, "it has no utterance");
  refused({{"utterances", {3}}}, "an utterance is no object");
  Json wrong = prediction();
  wrong.erase("video");
  refused(wrong, "'video' is missing");
  wrong = prediction();
  wrong["utterances"][0]["labels"] = "joy";
  refused(wrong, "labels");
  wrong = prediction();
  wrong["utterances"][0]["end_s"] = -1;
  refused(wrong, "an utterance from 0.2 to -1 s");
  expect_refused(overlay({"--labels", clips.path("none.json").string()}), ErrorKind::data, "none.json");
  expect_refused(overlay({"--labels", clips.write("a.json", "{").string()}), ErrorKind::data, "a.json");
}

TEST_F(MediaOverlay, RefusesTranscriptsThatAreNotOfThisClip) {
  const auto late = clips.write("late.srt", "1\n00:00:01,000 --> 00:00:04,000\nlate\n").string();
  expect_refused(overlay({"--transcript", late}), ErrorKind::data, "ends at 4.000 s, after the clip");
  expect_refused(overlay({"--transcript", clips.write("empty.srt", "\n").string()}), ErrorKind::data, "empty.srt");
  expect_refused(overlay({"--transcript", clips.path("none.srt").string()}), ErrorKind::data, "none.srt");
}

TEST_F(MediaOverlay, RefusesVideosWithoutPictures) {
  expect_refused(overlay({}, clips.make("sound.m4a", {"-vn"}).string()), ErrorKind::data, "sound.m4a");
  expect_refused(overlay({}, clips.path("none.mp4").string()), ErrorKind::data, "none.mp4");
}

TEST_F(MediaOverlay, ReadsWithinItsLimits) {
  const CommandResult large = overlay({"--max-pixels", "1000"});
  EXPECT_EQ(large.exit_code, exit_code(ErrorKind::data));
  EXPECT_THAT(large.standard_error, HasSubstr("max_pixels = 1000"));
  EXPECT_FALSE(std::filesystem::exists(out));
  EXPECT_EQ(overlay({"--max-streams", "1"}).exit_code, exit_code(ErrorKind::data));
  EXPECT_EQ(overlay({"--max-pixels", "0"}).exit_code, exit_code(ErrorKind::config));
}

TEST_F(MediaOverlay, RefusesWrongPlaces) {
  const auto into = [&](const std::string& place) {
    return test::run_command({MICROEMO_BINARY, "--quiet", "media", "overlay", video, "--out", place});
  };
  expect_refused(into(video), ErrorKind::config, "would replace the video");
  expect_refused(into(clips.path("a.avi").string()), ErrorKind::config, "an overlay is an MP4");
  expect_refused(into((clips.write("file", "x") / "a.mp4").string()), ErrorKind::environment, "/file");
  expect_refused(test::run_command({MICROEMO_BINARY, "media", "overlay", video}), ErrorKind::config, "--out");
  EXPECT_EQ(media::probe(video).width, 160);
}

TEST_F(MediaOverlay, LeavesNothingWhenItIsInterrupted) {
  const std::string longer = clips.path("longer.mp4").string();
  test::ffmpeg({"-stream_loop", "30", "-i", video, "-c", "copy", longer});
  const auto folder = std::filesystem::path(video).parent_path();
  const auto files = [&] { return std::distance(std::filesystem::directory_iterator(folder), {}); };
  const auto before = files();
  for (const int signal : {SIGINT, SIGTERM}) {
    const int code = test::interrupt_command({MICROEMO_BINARY, "--quiet", "media", "overlay", longer, "--out", out}, signal,
                                             [&] { return files() > before; });
    EXPECT_EQ(code, 130);
    EXPECT_EQ(files(), before);
  }
}

TEST_F(MediaOverlay, NamesThePackageOfAMissingFont) {
  const auto with_font = [&](const std::string& font) {
    return test::run_command(
        {"env", "MICROEMO_FONT=" + font, MICROEMO_BINARY, "--quiet", "media", "overlay", video, "--out", out});
  };
  expect_refused(with_font("/nowhere/font.ttf"), ErrorKind::environment, "fonts-wqy-microhei");
  expect_refused(with_font(video), ErrorKind::environment, "FreeType does not know what it is");
  expect_refused(with_font("/tmp"), ErrorKind::environment, "there is no such file");
}

}  // namespace
}  // namespace microemo::cli
