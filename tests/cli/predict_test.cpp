#include <cmath>
#include <cstdlib>

#include "microemo/base/files.h"
#include "microemo/base/json.h"
#include "microemo/media/image.h"
#include "microemo/media/sound.h"
#include "microemo/media/video_reader.h"
#include "microemo/media/video_writer.h"
#include "support/command.h"
#include "support/disk.h"
#include "support/errors.h"
#include "support/held_file.h"
#include "tiny_run.h"

namespace microemo {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::HasSubstr;

media::Sound tone(double seconds) {
  media::Sound sound;
  for (int i = 0; i < int(seconds * sound.rate); ++i) sound.samples.push_back(float(0.3 * std::sin(0.2 * i)));
  return sound;
}

/// One second of a moving stripe.
fs::path write_video(const fs::path& path, bool sound) {
  media::VideoWriter writer(path, {.width = 128, .height = 96, .sound = sound});
  for (int i = 0; i < 25; ++i) {
    media::Image frame{128, 96, 3, std::vector<uint8_t>(128 * 96 * 3, 60)};
    media::fill_box(frame, 4 * i, 0, 4 * i + 20, 96, {200, 120, 40});
    writer.add(frame);
  }
  if (sound) writer.add_sound(tone(1.0));
  writer.finish();
  return path;
}

struct PredictCommand : ::testing::Test {
  inline static test::TinyRun* tiny = nullptr;
  TemporaryFolder place;
  fs::path out = place.path() / "prediction", video = place.path() / "dialogue.mp4", words = place.path() / "dialogue.srt";

  static void SetUpTestSuite() { tiny = new test::TinyRun; }
  static void TearDownTestSuite() { delete tiny; }

  test::CommandResult predict(const fs::path& file, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> all = {MICROEMO_BINARY, "--quiet", "predict",    file.string(),      "--run",
                                    tiny->run,       "--out",   out.string(), "--max-new-tokens", "5"};
    all.insert(all.end(), more.begin(), more.end());
    test::CommandOptions options;
    options.folder = place.path();
    return test::run_command(all, options);
  }
  void expect_nothing_written(const test::CommandResult& result, ErrorKind kind, const std::string& part) const {
    EXPECT_EQ(result.exit_code, exit_code(kind));
    EXPECT_THAT(result.standard_error, HasSubstr(part));
    EXPECT_EQ(result.standard_output, "");
    EXPECT_FALSE(fs::exists(out));
  }
  void write_cues(int count) const {
    std::string text;
    for (int i = 0; i < count; ++i)
      text += fmt::format("{}\n00:00:00,{:03} --> 00:00:00,{:03}\nwhat\n\n", i + 1, 50 * i, 50 * i + 40);
    write_file_atomic(words, text);
  }
  Json prediction() const { return read_json(out / "prediction.json"); }
};

TEST_F(PredictCommand, AnswersForEveryCueAndDrawsATimeline) {
  write_video(video, true);
  write_file_atomic(words, "1\n00:00:00,100 --> 00:00:00,400\nwhat does\n\n2\n00:00:00,500 --> 00:00:00,900\nthe person\n");
  const test::CommandResult result = predict(video, {"--transcript", words.string()});
  ASSERT_EQ(result.exit_code, 0) << result.standard_error;
  const Json utterances = prediction()["utterances"];
  ASSERT_EQ(utterances.size(), 2u);
  EXPECT_EQ(utterances[1]["start_s"], 0.5);
  EXPECT_EQ(utterances[1]["text"], "the person");
  EXPECT_EQ(media::read_image(out / "timeline.png").width, 1600);
  EXPECT_THAT(result.standard_output, HasSubstr("the person"));
}

TEST_F(PredictCommand, TakesTheWholeClipForAnUtteranceWithoutATranscript) {
  ASSERT_EQ(predict(write_video(video, true)).exit_code, 0);
  const Json utterances = prediction()["utterances"];
  ASSERT_EQ(utterances.size(), 1u);
  EXPECT_EQ(utterances[0]["start_s"], 0.0);
  EXPECT_EQ(utterances[0]["end_s"], prediction()["duration_s"]);
}

TEST_F(PredictCommand, ReadsAFolderOfPictures) {
  const fs::path folder = place.path() / "clip.1";
  for (int i = 1; i <= 12; ++i)
    media::write_png(folder / fmt::format("img{}.png", i), {128, 96, 3, std::vector<uint8_t>(128 * 96 * 3, uint8_t(10 * i))});
  const test::CommandResult result = predict(folder.string() + "/", {"--frame-rate", "24", "--overlay"});
  ASSERT_EQ(result.exit_code, 0) << result.standard_error;
  EXPECT_EQ(prediction()["frames"], 12);
  EXPECT_EQ(prediction()["duration_s"], 0.5);
  EXPECT_EQ(prediction()["video"], folder.string());
  EXPECT_THAT(prediction()["remarks"], Contains("no sound in this file"));
  EXPECT_TRUE(fs::exists(out / "overlay.mp4"));
}

TEST_F(PredictCommand, NeedsTheRateOfAFolderAndOfNothingElse) {
  media::write_png(place.path() / "clip" / "1.png", {128, 96, 3, std::vector<uint8_t>(128 * 96 * 3)});
  expect_nothing_written(predict(place.path() / "clip"), ErrorKind::data, "--frame-rate");
  expect_nothing_written(predict(write_video(video, true), {"--frame-rate", "25"}), ErrorKind::data, "no folder of pictures");
  expect_nothing_written(predict(place.path() / "clip", {"--frame-rate", "0"}), ErrorKind::config, "is no frame rate");
}

TEST_F(PredictCommand, AsksTheGivenQuestion) {
  ASSERT_EQ(predict(write_video(video, true), {"--question", "the person?"}).exit_code, 0);
  EXPECT_EQ(prediction()["utterances"][0]["question"], "the person?");
}

TEST_F(PredictCommand, DrawsTheSameAnswerFromTheSameSeedAlone) {
  write_video(video, true);
  const auto drawn = [&](const std::string& seed, const std::vector<std::string>& more = {}) {
    std::vector<std::string> options{"--temperature", "2", "--top-k", "60", "--top-p", "0.99", "--seed", seed};
    options.insert(options.end(), more.begin(), more.end());
    const test::CommandResult result = predict(video, options);
    EXPECT_EQ(result.exit_code, 0) << result.standard_error;
    return prediction()["utterances"][0]["answer"].get<std::string>();
  };
  const std::string first = drawn("1");
  EXPECT_EQ(prediction()["generate"]["top_k"], 60);
  EXPECT_EQ(drawn("1"), first);
  EXPECT_NE(drawn("2"), first);
}

TEST_F(PredictCommand, EndsAtAStopText) {
  write_video(video, true);
  write_cues(1);
  ASSERT_EQ(predict(video, {"--transcript", words.string()}).exit_code, 0);
  const std::string whole = prediction()["utterances"][0]["answer"], letter = whole.substr(0, 1);
  ASSERT_TRUE(letter[0] > ' ' && letter[0] < 0x7f) << whole;
  ASSERT_EQ(predict(video, {"--transcript", words.string(), "--stop", letter}).exit_code, 0);
  EXPECT_EQ(prediction()["utterances"][0]["answer"], "");
  EXPECT_EQ(prediction()["utterances"][0]["complete"], true);
}

TEST_F(PredictCommand, StreamsTheAnswersInOrder) {
  write_video(video, true);
  write_cues(3);
  const test::CommandResult result = predict(video, {"--transcript", words.string(), "--stream"});
  ASSERT_EQ(result.exit_code, 0) << result.standard_error;
  std::string streamed;
  const Json made = prediction();
  for (const Json& utterance : made["utterances"])
    streamed += fmt::format("{}{:.2f} to {:.2f} s  {}", streamed.empty() ? "" : "\n", utterance["start_s"].get<double>(),
                            utterance["end_s"].get<double>(), utterance["answer"].get<std::string>());
  EXPECT_THAT(result.standard_output, testing::StartsWith(streamed + "\n\n"));
  ASSERT_EQ(predict(video, {"--transcript", words.string()}).exit_code, 0);
  EXPECT_EQ(prediction()["utterances"], made["utterances"]);
}

TEST_F(PredictCommand, RefusesSamplingThatMakesNoSense) {
  const auto refused = [&](const std::vector<std::string>& more, const std::string& message) {
    expect_nothing_written(predict(video, more), ErrorKind::config, message);
  };
  refused({"--top-p", "0.5"}, "--top-p has no effect without --temperature above 0");
  refused({"--seed", "3"}, "--seed has no effect");
  refused({"--top-k", "3"}, "--top-k has no effect");
  refused({"--temperature", "-1"}, "temperature");
  refused({"--temperature", "nan"}, "temperature");
  refused({"--repetition-penalty", "0"}, "repetition_penalty");
  refused({"--temperature", "1", "--top-p", "1.5"}, "top_p");
  refused({"--stop", ""}, "stop");
  refused({"--stop", "\xc3"}, "is not UTF-8");
  refused({"--stream", "--json"}, "--stream has no effect beside --json");
}

TEST_F(PredictCommand, PrintsJsonAlone) {
  const test::CommandResult result = predict(write_video(video, true), {"--json"});
  ASSERT_EQ(result.exit_code, 0) << result.standard_error;
  EXPECT_EQ(parse_json(result.standard_output, "standard output"), prediction());
}

TEST_F(PredictCommand, SaysThatThereIsNoSoundAndNoFace) {
  ASSERT_EQ(predict(write_video(video, false)).exit_code, 0);
  EXPECT_EQ(prediction()["sound"], false);
  EXPECT_EQ(prediction()["faces_found"], 0);
  EXPECT_THAT(prediction()["remarks"].get<std::vector<std::string>>(), Contains("no sound in this file"));
  EXPECT_THAT(prediction()["remarks"].get<std::vector<std::string>>(), Contains(HasSubstr("no face was found")));
}

TEST_F(PredictCommand, ListensToAFileWithoutAPicture) {
  media::write_wav(place.path() / "voice.wav", tone(1.0));
  const test::CommandResult result = predict(place.path() / "voice.wav");
  ASSERT_EQ(result.exit_code, 0) << result.standard_error;
  EXPECT_THAT(prediction()["remarks"].get<std::vector<std::string>>(), Contains(HasSubstr("no picture")));
}

TEST_F(PredictCommand, FindsTheFacesOfARealDialogue) {
  const fs::path cache = std::getenv("XDG_CACHE_HOME") ? std::getenv("XDG_CACHE_HOME") : fs::path(std::getenv("HOME")) / ".cache";
  const fs::path real = cache / "microemo/media/Megamind.avi";
  if (!fs::exists(real)) GTEST_SKIP() << real << " is not there; tools/setup brings it";
  write_file_atomic(words, "1\n00:00:00,500 --> 00:00:03,000\nwhat does\n\n2\n00:00:03,500 --> 00:00:08,000\nthe person\n");
  ASSERT_EQ(predict(real, {"--transcript", words.string()}).exit_code, 0);
  EXPECT_EQ(prediction()["utterances"].size(), 2u);
  EXPECT_EQ(prediction()["face_frames"], 270);
  EXPECT_GE(prediction()["faces_found"], 260);
}

TEST_F(PredictCommand, WritesTheFramesThatTheModelSaw) {
  ASSERT_EQ(predict(write_video(video, true)).exit_code, 0);
  const media::Image sheet = media::read_image(out / "frames.png");
  EXPECT_GT(sheet.width, 112);
  EXPECT_EQ(prediction()["seen_frames"], (out / "frames.png").string());
  EXPECT_FALSE(prediction().contains("overlay"));
}

TEST_F(PredictCommand, WritesAnOverlayWithTheSound) {
  write_video(video, true);
  write_file_atomic(words, "1\n00:00:00,100 --> 00:00:00,900\nwhat does\n");
  const test::CommandResult result = predict(video, {"--transcript", words.string(), "--overlay"});
  ASSERT_EQ(result.exit_code, 0) << result.standard_error;
  EXPECT_EQ(prediction()["overlay"], (out / "overlay.mp4").string());
  const media::VideoInfo info = media::probe(out / "overlay.mp4");
  EXPECT_EQ(info.width, 512);
  EXPECT_TRUE(info.has_audio);
  EXPECT_NEAR(info.duration_s, 1, 0.1);
}

TEST_F(PredictCommand, NamesThePackageOfAMissingFontBeforeTheWork) {
  write_video(video, true);
  expect_nothing_written(test::run_command({"env", "MICROEMO_FONT=/nowhere/font.ttf", MICROEMO_BINARY, "--quiet", "predict",
                                            video, "--run", tiny->run, "--out", out}),
                         ErrorKind::environment, "fonts-wqy-microhei");
}

TEST_F(PredictCommand, RefusesAnOverlayOfAFileWithoutAPicture) {
  media::write_wav(place.path() / "voice.wav", tone(1.0));
  expect_nothing_written(predict(place.path() / "voice.wav", {"--overlay"}), ErrorKind::data, "no picture in this file");
}

TEST_F(PredictCommand, RefusesAnOverlayInThePlaceOfTheVideo) {
  fs::create_directories(out);
  const test::CommandResult result = predict(write_video(out / "overlay.mp4", true), {"--overlay"});
  EXPECT_EQ(result.exit_code, exit_code(ErrorKind::config));
  EXPECT_THAT(result.standard_error, HasSubstr("would replace the video"));
  EXPECT_FALSE(fs::exists(out / "prediction.json"));
}

TEST_F(PredictCommand, RefusesAnUtteranceAfterTheEndOfTheClip) {
  write_video(video, true);
  write_file_atomic(words, "1\n00:00:00,100 --> 00:00:02,500\nwhat does\n");
  expect_nothing_written(predict(video, {"--transcript", words.string()}), ErrorKind::data, "after the clip");
}

TEST_F(PredictCommand, RefusesATranscriptWithoutUtterances) {
  write_video(video, true);
  write_file_atomic(words, "\n");
  expect_nothing_written(predict(video, {"--transcript", words.string()}), ErrorKind::data, "dialogue.srt");
}

TEST_F(PredictCommand, RefusesCuesThatOverlapAsAManifestDoes) {
  write_video(video, true);
  write_file_atomic(words, "1\n00:00:00,100 --> 00:00:00,500\nwhat does\n\n2\n00:00:00,400 --> 00:00:00,900\nthe person\n");
  expect_nothing_written(predict(video, {"--transcript", words.string()}), ErrorKind::data, "before the one above it ends");
}

TEST_F(PredictCommand, ReadsTranscriptsOfEveryKind) {
  write_video(video, true);
  const std::pair<const char*, const char*> files[] = {
      {"a.vtt", "WEBVTT\n\n00:00.100 --> 00:00.500\nwhat does\n\n00:00.600 --> 00:00.900\nthe person\n"},
      {"a.json",
       R"({"segments": [{"start": 0.1, "end": 0.5, "text": " what does"}, {"start": 0.6, "end": 0.9, "text": " the person"}]})"},
      {"a.csv", "StartTime,EndTime,Utterance\n0.1,0.5,what does\n0.6,0.9,the person\n"}};
  for (const auto& [name, text] : files) {
    write_file_atomic(place.path() / name, text);
    const test::CommandResult result = predict(video, {"--transcript", (place.path() / name).string()});
    ASSERT_EQ(result.exit_code, 0) << result.standard_error;
    ASSERT_EQ(prediction()["utterances"].size(), 2u) << name;
    EXPECT_EQ(prediction()["utterances"][1]["text"], "the person");
  }
}

TEST_F(PredictCommand, TakesTextWithoutTimesForTheWholeClip) {
  write_video(video, true);
  write_file_atomic(place.path() / "a.txt", "what does\nthe person\n");
  ASSERT_EQ(predict(video, {"--transcript", (place.path() / "a.txt").string()}).exit_code, 0);
  ASSERT_EQ(prediction()["utterances"].size(), 1u);
  EXPECT_EQ(prediction()["utterances"][0]["text"], "what does the person");
  EXPECT_EQ(prediction()["utterances"][0]["end_s"], prediction()["duration_s"]);
}

TEST_F(PredictCommand, MergesUtterancesDownToANumber) {
  write_video(video, true);
  write_cues(17);
  ASSERT_EQ(predict(video, {"--transcript", words.string(), "--most", "3"}).exit_code, 0);
  EXPECT_EQ(prediction()["utterances"].size(), 3u);
}

TEST_F(PredictCommand, AsksWhereTheSoundIsLoud) {
  write_video(video, true);
  ASSERT_EQ(predict(video, {"--voice"}).exit_code, 0);
  EXPECT_EQ(prediction()["utterances"].size(), 1u);
  EXPECT_THAT(prediction()["remarks"].get<std::vector<std::string>>(), Contains(HasSubstr("where the sound is loud")));
  EXPECT_EQ(predict(video, {"--voice", "--transcript", "a.srt"}).exit_code, 2);
}

TEST_F(PredictCommand, RefusesMoreCuesThanTheModelTakesAndSaysToMergeThem) {
  write_video(video, true);
  write_cues(17);
  const test::CommandResult result = predict(video, {"--transcript", words.string()});
  expect_nothing_written(result, ErrorKind::data, "17 utterances, and this model was made for 16");
  EXPECT_THAT(result.standard_error, HasSubstr("--most 16"));
}

TEST_F(PredictCommand, SaysThatTheDiskIsFullAndLeavesNothing) {
  MICROEMO_SKIP_WITHOUT_DISKS();
  write_video(video, true);
  const auto [result, files] =
      test::run_on_disk("size=8k", {MICROEMO_BINARY, "--quiet", "predict", video, "--run", tiny->run, "--out", "prediction"});
  EXPECT_EQ(result.exit_code, exit_code(ErrorKind::environment)) << result.standard_error;
  EXPECT_THAT(result.standard_error, HasSubstr("No space left on device"));
  EXPECT_TRUE(files.empty()) << files.front();
}

TEST_F(PredictCommand, SaysThatTheFolderCannotBeWritten) {
  MICROEMO_SKIP_WITHOUT_DISKS();
  write_video(video, true);
  const auto [result, files] =
      test::run_on_disk("ro", {MICROEMO_BINARY, "--quiet", "predict", video, "--run", tiny->run, "--out", "prediction"});
  EXPECT_EQ(result.exit_code, exit_code(ErrorKind::environment)) << result.standard_error;
  EXPECT_THAT(result.standard_error, HasSubstr("Read-only file system"));
}

TEST_F(PredictCommand, EndsByASignal) {
  fs::path deep = place.path();  // long names, so that more is printed than the pipe takes
  for (int i = 0; i < 12; ++i) deep /= std::string(200, 'd');
  fs::create_directories(deep);
  write_video(deep / "dialogue.mp4", true);
  for (const int signal : {SIGTERM, SIGINT})
    EXPECT_EQ(test::interrupt_printing({MICROEMO_BINARY, "--quiet", "predict", deep / "dialogue.mp4", "--run", tiny->run, "--out",
                                        deep / "out", "--max-new-tokens", "5", "--json"},
                                       signal),
              128 + signal);
}

TEST_F(PredictCommand, RefusesAMissingTranscript) {
  write_video(video, true);
  expect_nothing_written(predict(video, {"--transcript", words.string()}), ErrorKind::data, "dialogue.srt");
}

TEST_F(PredictCommand, RefusesAMissingVideo) { expect_nothing_written(predict(video), ErrorKind::data, "dialogue.mp4"); }

TEST_F(PredictCommand, RefusesAnEmptyFile) {
  write_file_atomic(video, "");
  expect_nothing_written(predict(video), ErrorKind::data, "dialogue.mp4");
}

TEST_F(PredictCommand, RefusesTextThatIsNamedLikeAVideo) {
  write_file_atomic(video, std::string(4000, 'a'));
  expect_nothing_written(predict(video), ErrorKind::data, "dialogue.mp4");
}

TEST_F(PredictCommand, RefusesHalfAVideo) {
  const std::string whole = read_file(write_video(video, true));
  write_file_atomic(video, std::string_view(whole).substr(0, whole.size() / 2));
  expect_nothing_written(predict(video), ErrorKind::data, "dialogue.mp4");
}

TEST_F(PredictCommand, RefusesAFolderThatIsNoRun) {
  write_video(video, true);
  const test::CommandResult result =
      test::run_command({MICROEMO_BINARY, "--quiet", "predict", video, "--run", place.path() / "none", "--out", out});
  expect_nothing_written(result, ErrorKind::checkpoint, "none");
}

TEST_F(PredictCommand, AsksForARun) {
  const test::CommandResult result = test::run_command({MICROEMO_BINARY, "predict", video});
  EXPECT_EQ(result.exit_code, exit_code(ErrorKind::config));
  EXPECT_THAT(result.standard_error + result.standard_output, HasSubstr("--run"));
}

TEST_F(PredictCommand, SaysThatItHasReadAPart) {
  fs::path whole = place.path() / "whole.mkv";
  const test::CommandResult made =
      test::run_command({"ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=128x96:r=25:d=2", "-c:v", "libx264", whole});
  ASSERT_EQ(made.exit_code, 0) << made.standard_error;
  const std::string bytes = read_file(whole);
  const fs::path part = place.path() / "part.mkv";
  write_file_atomic(part, bytes.substr(0, bytes.size() / 2));
  expect_nothing_written(predict(part), ErrorKind::data, "truncated or damaged");
  const test::CommandResult result = predict(part, {"--partial", "--overlay"});
  ASSERT_EQ(result.exit_code, 0) << result.standard_error;
  EXPECT_THAT(result.standard_output, HasSubstr("note: partial: the file is truncated or damaged"));
  EXPECT_LT(prediction()["partial"]["until_s"].get<double>(), 1.9);
  EXPECT_NEAR(prediction()["partial"]["until_s"].get<double>(), prediction()["duration_s"].get<double>(), 1e-6);
  EXPECT_TRUE(fs::exists(out / "overlay.mp4"));
  ASSERT_EQ(predict(whole, {"--partial"}).exit_code, 0);
  EXPECT_TRUE(prediction()["partial"].is_null());
}

TEST_F(PredictCommand, RefusesAVideoOverALimit) {
  write_video(video, true);
  expect_nothing_written(predict(video, {"--max-pixels", "100"}), ErrorKind::data, "over the limit max_pixels = 100");
  expect_nothing_written(predict(video, {"--max-seconds", "0.5", "--voice"}), ErrorKind::data, "max_seconds = 0.5");
  expect_nothing_written(predict(video, {"--max-pixels", "0"}), ErrorKind::config, "--max-pixels");
  EXPECT_EQ(predict(video, {"--max-pixels", "12288"}).exit_code, 0);
}

TEST_F(PredictCommand, EndsWhenAFileHangs) {
  write_video(video, true);
  const test::HeldFile held(video);
  if (!held.is_held()) GTEST_SKIP() << "no leases on this file system";
  expect_nothing_written(predict(video, {"--stall-seconds", "0.2"}), ErrorKind::data, "a call of the decoder has lasted");
}

}  // namespace
}  // namespace microemo
