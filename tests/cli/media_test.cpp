#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <cmath>
#include <set>

#include "media/clips.h"
#include "microemo/base/json.h"
#include "microemo/media/face_crops.h"
#include "microemo/media/image.h"
#include "support/held_file.h"

namespace microemo::cli {
namespace {

using test::CommandResult;
using test::run_command;
using testing::HasSubstr;
using testing::Not;

class MediaCommand : public testing::Test {
 protected:
  static CommandResult microemo(std::vector<std::string> words) {
    words.insert(words.begin(), {MICROEMO_BINARY, "media"});
    return run_command(words);
  }
  static Json json_of(std::vector<std::string> words) {
    words.push_back("--json");
    const CommandResult result = microemo(words);
    EXPECT_EQ(result.exit_code, 0) << result.standard_error;
    return parse_json(result.standard_output, "output");
  }
  std::string clip(const std::vector<std::string>& extra = {}) const { return clips.make("clip.mp4", extra).string(); }

  test::Clips clips;
};

TEST_F(MediaCommand, PrintsEveryFrameWithItsTime) {
  const Json json = json_of({"frames", clip()});
  ASSERT_EQ(json["frames"].size(), 50u);
  EXPECT_EQ(json["video"]["width"], 160);
  EXPECT_EQ(json["frames"][0]["key"], true);
  EXPECT_EQ(json["frames"][25]["index"], 25);
  EXPECT_NEAR(json["frames"][25]["seconds"].get<double>(), 1.0, 1e-5);
  EXPECT_EQ(json["frames"][25]["md5"].get<std::string>().size(), 32u);
}

std::vector<int64_t> indices_of(const Json& json) {
  std::vector<int64_t> indices;
  for (const Json& frame : json["frames"]) indices.push_back(frame["index"]);
  return indices;
}

TEST_F(MediaCommand, PrintsTheFramesThatAreAskedForInTheirOrder) {
  const std::string video = clip();
  const Json all = json_of({"frames", video}), some = json_of({"frames", video, "--index", "40,3,3,12"}),
             shown = json_of({"frames", video, "--at", "1.5,0,0.239"});
  EXPECT_EQ(indices_of(some), (std::vector<int64_t>{40, 3, 3, 12}));
  EXPECT_EQ(indices_of(shown), (std::vector<int64_t>{37, 0, 5}));
  for (const Json& frame : some["frames"]) EXPECT_EQ(frame, all["frames"][frame["index"].get<size_t>()]);
  EXPECT_EQ(some["frames"][0]["size"], 160 * 120 * 3 / 2);
  EXPECT_EQ(some["frames"][0]["time_base"], all["video"]["time_base"]);
}

TEST_F(MediaCommand, PrintsTheFramesOfARule) {
  const std::string video = clip();
  EXPECT_EQ(indices_of(json_of({"frames", video, "--rule", "uniform", "--count", "4"})), (std::vector<int64_t>{0, 12, 25, 37}));
  EXPECT_EQ(indices_of(json_of({"frames", video, "--rule", "timechat", "--count", "4"})), (std::vector<int64_t>{0, 12, 25, 37}));
  EXPECT_EQ(indices_of(json_of({"frames", video, "--rule", "middle", "--count", "5"})),
            (std::vector<int64_t>{5, 15, 25, 35, 45}));
  EXPECT_EQ(indices_of(json_of({"frames", video, "--rule", "fps", "--count", "2"})), (std::vector<int64_t>{0, 12, 25, 37}));
}

TEST_F(MediaCommand, RefusesFramesThatCannotBeChosen) {
  const std::string video = clip();
  const auto refused = [&](std::vector<std::string> words, int exit_code, const std::string& message) {
    words.insert(words.begin(), {"frames", video});
    const CommandResult result = microemo(words);
    EXPECT_EQ(result.exit_code, exit_code) << result.standard_output;
    EXPECT_THAT(result.standard_error, HasSubstr(message));
  };
  refused({"--index", "50"}, 3, "there is no frame 50: the video has 50");
  refused({"--at", "2.5"}, 3, "nothing is shown at 2.500 s: the pictures end at 2.000 s");
  refused({"--at", "nan"}, 3, "nothing is shown at");
  refused({"--at", "-1"}, 3, "nothing is shown at");
  refused({"--rule", "uniform"}, 2, "--rule uniform does not say how many");
  refused({"--rule", "best", "--count", "3"}, 2, "--rule");
  refused({"--count", "3"}, 2, "--count");
  refused({"--index", "1", "--at", "1"}, 2, "--at");
  refused({"--index", "one"}, 2, "--index");
  refused({"--index", "1", "--sheet", "sheet.png"}, 2, "a sheet shows the whole clip");
}

TEST_F(MediaCommand, WritesTheSoundAtTheRateThatIsAsked) {
  const std::string wav = clips.path("sound.wav").string();
  EXPECT_EQ(json_of({"audio", clip(), "--rate", "8000", "--wav", wav})["rate"], 8000);
  EXPECT_EQ(
      test::lines_of({"ffprobe", "-v", "quiet", "-show_entries", "stream=sample_rate,channels", "-of", "csv=p=0", wav}).at(0),
      "8000,1");
}

TEST_F(MediaCommand, PrintsATableForPeople) {
  const CommandResult result = microemo({"frames", clip()});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.standard_output, HasSubstr("160 x 120"));
  EXPECT_EQ(std::count(result.standard_output.begin(), result.standard_output.end(), '\n'), 52);
}

TEST_F(MediaCommand, WritesAContactSheetOfAsManyCellsAsAsked) {
  const auto wide = clips.path("wide.png"), narrow = clips.path("narrow.png");
  ASSERT_EQ(microemo({"frames", clip(), "--sheet", wide.string(), "--cells", "8"}).exit_code, 0);
  ASSERT_EQ(microemo({"frames", clip(), "--sheet", narrow.string(), "--cells", "2"}).exit_code, 0);
  EXPECT_GT(media::read_image(wide).height, media::read_image(narrow).height);
}

TEST_F(MediaCommand, PrintsNoFacesWhereThereAreNone) {
  const Json json = json_of({"faces", clip()});
  ASSERT_EQ(json["frames"].size(), 50u);
  EXPECT_TRUE(json["main_track"].is_null());
  for (const Json& frame : json["frames"]) EXPECT_TRUE(frame["faces"].empty());
}

TEST_F(MediaCommand, PrintsFacesWithTheirLandmarks) {
  const auto photograph = test::test_media("grace_hopper_512x512.jpg");
  if (!photograph) GTEST_SKIP() << test::no_test_media("grace_hopper_512x512.jpg");
  test::ffmpeg({"-loop", "1", "-i", photograph->string(), "-t", "0.4", "-r", "25", "-pix_fmt", "yuv420p",
                clips.path("face.mp4").string()});
  const auto sheet = clips.path("sheet.png"), tracks = clips.path("tracks.png");
  const Json json =
      json_of({"faces", clips.path("face.mp4").string(), "--sheet", sheet.string(), "--track-sheet", tracks.string()});
  EXPECT_EQ(json["main_track"], 0);
  for (const Json& frame : json["frames"]) {
    ASSERT_EQ(frame["faces"].size(), 1u);
    EXPECT_EQ(frame["watched"], 0);
    EXPECT_EQ(frame["faces"][0]["landmarks"].size(), 68u);
    EXPECT_EQ(frame["faces"][0]["box"].size(), 4u);
    EXPECT_GT(frame["faces"][0]["confidence"].get<double>(), 0.5);
    // The encoder still mends the picture in the frame after the first.
    EXPECT_TRUE(frame["index"] <= 1 || frame["duplicated"] == "frame") << frame["index"];
  }
  ASSERT_EQ(json["tracks"].size(), 1u);
  const Json& track = json["tracks"][0];
  EXPECT_EQ(track["track"], 0);
  EXPECT_EQ(track["first"], 0);
  EXPECT_EQ(track["last"], 9);
  EXPECT_EQ(track["frames"], 10);
  EXPECT_EQ(track["coverage"], 1.0);
  EXPECT_GE(track["duplicated"], 8);
  EXPECT_GT(track["mean_confidence"].get<double>(), 0.5);
  EXPECT_EQ(media::read_image(sheet).width, media::read_image(tracks).width);
  EXPECT_GT(media::read_image(tracks).height, 200);
}

TEST_F(MediaCommand, WritesAlignedCropsOfEveryFrame) {
  const auto photograph = test::test_media("grace_hopper_512x512.jpg");
  if (!photograph) GTEST_SKIP() << test::no_test_media("grace_hopper_512x512.jpg");
  const std::string video = clips.path("face.mp4").string();
  // A second of nothing behind a face of 0.4 s.
  test::ffmpeg({"-loop", "1", "-t", "0.4", "-i", photograph->string(), "-vf", "fps=25,tpad=stop_duration=0.2:color=gray",
                "-pix_fmt", "yuv420p", video});
  for (const int size : {112, 224}) {
    const auto file = clips.path("crops.npy");
    json_of({"faces", video, "--crops", file.string(), "--size", std::to_string(size)});
    const auto crops = media::read_face_crops(file);
    ASSERT_EQ(crops.size(), 15u);
    EXPECT_EQ(crops[0].width, size);
    EXPECT_FALSE(crops[9].pixels.empty());
    EXPECT_TRUE(crops[12].pixels.empty());
  }
}

TEST_F(MediaCommand, RefusesCropsThatAreNamedOrSizedOtherwise) {
  EXPECT_EQ(microemo({"faces", clip(), "--crops", clips.path("crops.bin").string()}).exit_code, 2);
  EXPECT_EQ(microemo({"faces", clip(), "--crops", clips.path("crops.npy").string(), "--size", "100"}).exit_code, 2);
  EXPECT_EQ(microemo({"faces", clip(), "--size", "224"}).exit_code, 2);
  EXPECT_EQ(microemo({"faces", clip(), "--crops", (clips.write("file", "x") / "crops.npy").string()}).exit_code, 5);
}

TEST_F(MediaCommand, PrintsAndWritesTheSound) {
  const auto wav = clips.path("sound.wav"), picture = clips.path("mel.png");
  const Json json = json_of({"audio", clip(), "--wav", wav.string(), "--sheet", picture.string()});
  EXPECT_EQ(json["rate"], 16000);
  EXPECT_NEAR(json["duration_s"].get<double>(), 2, 0.07);
  EXPECT_NEAR(json["start_s"].get<double>(), 0, 1e-6);
  const std::string bytes = read_file(wav);
  EXPECT_EQ(bytes.size(), 44 + 2 * json["samples"].get<size_t>());
  EXPECT_GT(media::read_image(picture).height, 3 * 64);  // the axes need room
}

TEST_F(MediaCommand, PrintsAndWritesAPartOfTheSound) {
  const auto whole = clips.path("whole.wav"), part = clips.path("part.wav");
  json_of({"audio", clip(), "--wav", whole.string()});
  const Json json = json_of({"audio", clip(), "--from", "0.5", "--to", "0.75", "--wav", part.string()});
  EXPECT_EQ(json["samples"], 4000);
  EXPECT_NEAR(json["start_s"].get<double>(), 0.5, 1e-4);
  const auto offset = size_t(44 + 2 * std::lround(0.5 * 16000));
  EXPECT_EQ(read_file(part).substr(44), read_file(whole).substr(offset, 8000));
}

TEST_F(MediaCommand, ResamplesAsAsked) {
  std::set<double> levels;
  for (const char* resampler : {"swresample", "soxr", "sinc"})
    levels.insert(json_of({"audio", clip(), "--resampler", resampler, "--rate", "11025"})["peak"].get<double>());
  EXPECT_EQ(levels.size(), 3u);
  EXPECT_EQ(microemo({"audio", clip(), "--resampler", "sox"}).exit_code, 2);
  EXPECT_EQ(microemo({"audio", clip(), "--from", "nan"}).exit_code, 2);
  EXPECT_EQ(microemo({"audio", clip(), "--from", "1", "--to", "0.5"}).exit_code, 2);
}

TEST_F(MediaCommand, MakesUtterancesOfATranscript) {
  const auto vtt = clips.write("a.vtt", "WEBVTT\n\n00:01.000 --> 00:03.000\n<v Ann>Hi\n\n00:02.000 --> 00:04.000\nyou\n");
  EXPECT_THAT(microemo({"transcript", vtt.string()}).standard_error, HasSubstr("--overlap cut"));
  const auto srt = clips.path("b.srt");
  const Json json = json_of({"transcript", vtt.string(), "--overlap", "cut", "--pad", "0.25", "--srt", srt.string()});
  ASSERT_EQ(json["utterances"].size(), 2u);
  EXPECT_EQ(json["utterances"][0]["speaker"], "Ann");
  EXPECT_EQ(json["utterances"][0]["end_s"], 2.0);
  EXPECT_EQ(read_file(srt), "1\n00:00:00,750 --> 00:00:02,000\nHi\n\n2\n00:00:02,000 --> 00:00:04,250\nyou\n\n");
  EXPECT_THAT(microemo({"transcript", srt.string()}).standard_output, HasSubstr("2 utterances"));
}

TEST_F(MediaCommand, RefusesRulesAndTextsThatMakeNoUtterances) {
  EXPECT_EQ(microemo({"transcript", clips.write("a.txt", "Hi").string()}).exit_code, 3);
  const std::string srt = clips.write("a.srt", "").string();
  EXPECT_EQ(microemo({"transcript", srt}).exit_code, 0);
  for (const std::vector<std::string>& rule :
       {std::vector<std::string>{"--overlap", "keep"}, {"--most", "0"}, {"--longest", "-1"}, {"--pad", "nan"}}) {
    std::vector<std::string> words{"transcript", srt};
    words.insert(words.end(), rule.begin(), rule.end());
    EXPECT_EQ(microemo(words).exit_code, 2) << rule[0];
  }
}

TEST_F(MediaCommand, FindsWhereSomebodySpeaks) {
  const auto wav = clips.path("bursts.wav"), srt = clips.path("bursts.srt");
  test::ffmpeg(
      {"-f", "lavfi", "-i", "aevalsrc=0.4*sin(2000*t)*(between(t\\,0.5\\,1.5)+between(t\\,2.5\\,3)):s=16000:d=4", wav.string()});
  const Json json = json_of({"voice", wav.string(), "--pad", "0", "--srt", srt.string()});
  ASSERT_EQ(json["utterances"].size(), 2u);
  EXPECT_NEAR(json["utterances"][1]["start_s"].get<double>(), 2.5, 0.05);
  EXPECT_THAT(microemo({"transcript", srt.string()}).standard_output, HasSubstr("2 utterances"));
  EXPECT_EQ(microemo({"voice", wav.string(), "--silence", "3"}).exit_code, 2);
}

TEST_F(MediaCommand, ListensWithinItsLimits) {
  const CommandResult result = microemo({"voice", clip(), "--max-seconds", "0.5"});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.standard_error, HasSubstr("max_seconds = 0.5"));
}

TEST_F(MediaCommand, WritesNoMinusBeforeAZero) {
  const CommandResult result = microemo({"audio", clip()});
  EXPECT_THAT(result.standard_output, HasSubstr("from 0.0000 s"));
  EXPECT_THAT(microemo({"frames", clip()}).standard_output, Not(HasSubstr("-0.0000")));
}

TEST_F(MediaCommand, RefusesAThresholdThatIsNoNumber) {
  for (const char* threshold : {"nan", "inf", "-nan", "1x", ""})
    EXPECT_EQ(microemo({"faces", "a.mp4", "--threshold", threshold}).exit_code, 2) << threshold;
}

TEST_F(MediaCommand, RefusesASheetThatIsNamedLikeAnotherKindOfPicture) {
  for (const char* view : {"frames", "faces", "audio"}) {
    const CommandResult result = microemo({view, clip(), "--sheet", clips.path("sheet.jpg").string()});
    EXPECT_EQ(result.exit_code, 2) << view;
    EXPECT_THAT(result.standard_error, HasSubstr("sheet.jpg"));
    EXPECT_EQ(result.standard_output, "");
    EXPECT_FALSE(std::filesystem::exists(clips.path("sheet.jpg")));
  }
}

TEST_F(MediaCommand, SaysWhenThereIsNoSound) {
  const CommandResult result = microemo({"audio", clip({"-an"})});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.standard_error, HasSubstr("no sound stream"));
  EXPECT_EQ(result.standard_output, "");
}

TEST_F(MediaCommand, SaysWhenThereIsNoVideo) {
  const CommandResult result = microemo({"frames", clip({"-vn"})});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.standard_error, HasSubstr("no video stream"));
}

TEST_F(MediaCommand, RefusesATruncatedFile) {
  const auto cut = clips.cut(clips.make("a.mp4"), "cut.mp4", 0.5);
  const CommandResult result = microemo({"faces", cut.string()});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.standard_error, HasSubstr("truncated"));
}

TEST_F(MediaCommand, RefusesAMissingFile) {
  const CommandResult result = microemo({"frames", "/nowhere/a.mp4", "--json"});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_EQ(result.standard_output, "");
}

TEST_F(MediaCommand, RefusesAnUnwritableSheet) {
  const auto blocked = clips.write("file", "x") / "sheet.png";
  EXPECT_EQ(microemo({"frames", clip(), "--sheet", blocked.string()}).exit_code, 5);
}

TEST_F(MediaCommand, WithoutAViewIsAMistakeOfTheCommandLine) { EXPECT_EQ(microemo({"clip.mp4"}).exit_code, 2); }

TEST_F(MediaCommand, HelpHasExamples) {
  const CommandResult result = microemo({"--help"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.standard_output, HasSubstr("Examples:"));
}

TEST_F(MediaCommand, ReadsAFileThatBreaksOffOnlyWhereThatIsAllowed) {
  const std::string cut = clips.cut(clips.make("whole.mkv"), "cut.mkv", 0.6).string();
  const std::string why = "truncated or damaged";
  for (const std::string view : {"frames", "faces", "audio", "voice"}) {
    SCOPED_TRACE(view);
    const CommandResult refused = microemo({view, cut}), allowed = microemo({view, cut, "--partial"});
    EXPECT_EQ(refused.exit_code, 3);
    EXPECT_THAT(refused.standard_error, HasSubstr(why));
    EXPECT_EQ(allowed.exit_code, 0) << allowed.standard_error;
    EXPECT_THAT(allowed.standard_output + allowed.standard_error, HasSubstr("partial: the file is truncated or damaged"));
  }
  for (const std::string view : {"frames", "faces", "audio"}) {
    SCOPED_TRACE(view);
    const Json json = json_of({view, cut, "--partial"});
    EXPECT_LT(json["partial"]["until_s"].get<double>(), 1.9);
    EXPECT_THAT(json["partial"]["reason"].get<std::string>(), HasSubstr("the container announces"));
    EXPECT_TRUE(json_of({view, clips.path("whole.mkv").string(), "--partial"})["partial"].is_null());
  }
  EXPECT_EQ(microemo({"faces", cut, "--partial", "--sheet", clips.path("a.png").string(), "--track-sheet",
                      clips.path("b.png").string()})
                .exit_code,
            0);
}

TEST_F(MediaCommand, EndsWhenAFileHangs) {
  const std::string video = clip();
  const test::HeldFile held(video);
  if (!held.is_held()) GTEST_SKIP() << "no leases on this file system";
  for (const std::string view : {"frames", "faces", "audio"}) {
    SCOPED_TRACE(view);
    const CommandResult result = microemo({view, video, "--stall-seconds", "0.2"});
    EXPECT_EQ(result.exit_code, 3);
    EXPECT_EQ(result.standard_output, "");
    EXPECT_THAT(result.standard_error, HasSubstr("error (data): a call of the decoder has lasted for 1 s"));
    EXPECT_THAT(result.standard_error, HasSubstr("where  " + video));
  }
}

}  // namespace
}  // namespace microemo::cli
