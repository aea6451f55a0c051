#include "microemo/data/synth.h"

#include <cmath>
#include <cstdlib>
#include <map>
#include <memory>

#include "microemo/base/files.h"
#include "microemo/base/hash.h"
#include "microemo/base/json.h"
#include "microemo/base/workers.h"
#include "microemo/data/manifest.h"
#include "microemo/data/synth_face.h"
#include "microemo/data/synth_speech.h"
#include "microemo/media/sound.h"
#include "microemo/media/video_reader.h"
#include "microemo/text/transcript.h"
#include "support/errors.h"

namespace microemo::data {
namespace {

namespace fs = std::filesystem;
using test::expect_error;

SynthOptions small_set() { return {.train_clips = 3, .test_clips = 2}; }

bool photographs_are_there() { return fs::exists(default_photograph_folder() / "Solvay_conference_1927_Version2_2126x1463.png"); }

/// A name of the environment, put back at the end.
class EnvironmentValue {
 public:
  EnvironmentValue(const char* name, const char* value) : name_(name), before_(std::getenv(name)) { setenv(name, value, 1); }
  ~EnvironmentValue() { setenv(name_, before_.c_str(), 1); }

 private:
  const char* name_;
  std::string before_;
};

std::map<std::string, std::string> hashes_of(const fs::path& folder) {
  std::map<std::string, std::string> hashes;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file()) hashes[fs::relative(entry.path(), folder)] = sha256_file(entry.path());
  return hashes;
}

/// One small set, made once for the tests that read it.
class SynthSet : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (!photographs_are_there()) return;
    folder_ = std::make_unique<TemporaryFolder>();
    report_ = make_synth(root(), small_set(), 1);
  }
  static void TearDownTestSuite() { folder_.reset(); }
  void SetUp() override {
    if (!folder_)
      GTEST_SKIP() << "the photographs are not in " << default_photograph_folder() << " (tools/setup puts them there)";
  }
  static fs::path root() { return folder_->path() / "set"; }

  static std::unique_ptr<TemporaryFolder> folder_;
  static SynthReport report_;
};
std::unique_ptr<TemporaryFolder> SynthSet::folder_;
SynthReport SynthSet::report_;

TEST_F(SynthSet, CountsWhatItMade) {
  EXPECT_EQ(report_.clips, 5);
  EXPECT_EQ(report_.made, 5);
  EXPECT_FALSE(report_.stopped);
}

TEST_F(SynthSet, TellsDialoguesInWordsAloneWhenAsked) {
  EXPECT_FALSE(fs::exists(root() / "text.jsonl"));
  SynthOptions options = small_set();
  options.text_clips = 7;
  const SynthReport report = make_synth(root(), options, 1);  // the same set: no clip is made again
  EXPECT_EQ(report.already_there, 5);
  const Manifest manifest = read_manifest(root() / "text.jsonl");
  EXPECT_EQ(manifest.clips.size(), 7u);
  for (const Clip& clip : manifest.clips) EXPECT_TRUE(clip.video.empty());
  fs::remove(root() / "text.jsonl");
  make_synth(root(), small_set(), 1);
}

TEST_F(SynthSet, HasTheSameBytesWithTwoWorkers) {
  const TemporaryFolder other;
  make_synth(other.path() / "set", small_set(), 2);
  EXPECT_EQ(hashes_of(root()), hashes_of(other.path() / "set"));
}

TEST_F(SynthSet, IsMadeWholeAgainFromWhatAStopLeft) {
  const TemporaryFolder other;
  const fs::path set = other.path() / "set";
  fs::copy(root(), set, fs::copy_options::recursive);
  fs::remove(set / "clips/train_00001.mp4");
  fs::remove(set / "manifest.jsonl");
  const SynthReport report = make_synth(set, small_set(), 1);
  EXPECT_EQ(report.made, 1);
  EXPECT_EQ(report.already_there, 4);
  EXPECT_EQ(hashes_of(root()), hashes_of(set));
}

TEST_F(SynthSet, GrowsWithoutMakingItsClipsAgain) {
  const TemporaryFolder other;
  const fs::path set = other.path() / "set";
  fs::copy(root(), set, fs::copy_options::recursive);
  SynthOptions larger = small_set();
  larger.train_clips = 4;
  EXPECT_EQ(make_synth(set, larger, 1).made, 1);
  EXPECT_EQ(read_manifest(set / "train.jsonl").clips.size(), 4u);
}

TEST_F(SynthSet, StopsWithoutManifestWhenAsked) {
  const TemporaryFolder other;
  request_stop();
  const SynthReport report = make_synth(other.path() / "set", small_set(), 1);
  clear_stop_request();
  EXPECT_TRUE(report.stopped);
  EXPECT_FALSE(fs::exists(other.path() / "set/manifest.jsonl"));
  EXPECT_FALSE(json_get<bool>(read_json(other.path() / "set/synth.json"), "complete", "synth.json"));
}

TEST_F(SynthSet, ListsItsClipsInThreeManifests) {
  EXPECT_EQ(read_manifest(root() / "manifest.jsonl").clips.size(), 5u);
  EXPECT_EQ(read_manifest(root() / "train.jsonl").clips.size(), 3u);
  for (const Clip& clip : read_manifest(root() / "test.jsonl").clips) EXPECT_EQ(clip.split, "test");
}

TEST_F(SynthSet, WritesTranscriptsWithTheManifestsTimes) {
  for (const Clip& clip : read_manifest(root() / "manifest.jsonl").clips) {
    const auto cues = text::read_srt(fs::path(clip.video).replace_extension(".srt"));
    ASSERT_EQ(cues.size(), clip.utterances.size());
    for (size_t i = 0; i < cues.size(); ++i) {
      EXPECT_NEAR(cues[i].start_s, clip.utterances[i].start_s, 1e-3);
      EXPECT_NEAR(cues[i].end_s, clip.utterances[i].end_s, 1e-3);
      EXPECT_EQ(cues[i].text, clip.utterances[i].text);
    }
  }
}

double power(const media::Sound& sound, double start_s, double end_s) {
  double sum = 0;
  const auto first = size_t((start_s - sound.start_s) * sound.rate),
             last = std::min(sound.samples.size(), size_t((end_s - sound.start_s) * sound.rate));
  for (size_t i = first; i < last; ++i) sum += sound.samples[i] * sound.samples[i];
  return sum / double(last - first);
}

TEST_F(SynthSet, SpeaksDuringUtterancesAndIsQuietBetween) {
  for (const Clip& clip : read_manifest(root() / "manifest.jsonl").clips) {
    const media::Sound sound = media::read_sound(clip.video);
    const double quiet = power(sound, 0.05, clip.utterances[0].start_s - 0.05);
    for (size_t i = 0; i < clip.utterances.size(); ++i) {
      EXPECT_GT(power(sound, clip.utterances[i].start_s, clip.utterances[i].end_s), 30 * quiet) << clip.id;
      if (i == 0) continue;
      EXPECT_LT(power(sound, clip.utterances[i - 1].end_s + 0.05, clip.utterances[i].start_s - 0.05), 3 * quiet) << clip.id;
    }
  }
}

TEST_F(SynthSet, HoldsAsManyFramesAsItsScripts) {
  for (int64_t i = 0; i < 2; ++i) {
    const ClipScript script = draw_script(small_set(), SynthPart::test, i);
    media::VideoReader reader(root() / "clips" / (script.id + ".mp4"));
    int frames = 0;
    while (reader.next()) ++frames;
    EXPECT_EQ(frames, script.frames);
  }
}

TEST_F(SynthSet, RecordsHowItWasMade) {
  const Json summary = read_json(root() / "synth.json");
  EXPECT_TRUE(summary.at("complete").get<bool>());
  EXPECT_EQ(summary.at("options").at("train_clips").get<int>(), 3);
  EXPECT_EQ(summary.at("photographs").size(), 3u);
  EXPECT_EQ(summary.at("espeak_ng").get<std::string>(), espeak_version());
  EXPECT_NEAR(summary.at("ceilings").at("all").get<double>(), 1.0, 1e-9);
}

TEST_F(SynthSet, DrawsAContactSheet) {
  const TemporaryFolder other;
  write_synth_preview(root(), small_set(), other.path() / "sheet.png");
  const media::Image sheet = media::read_image(other.path() / "sheet.png");
  constexpr int gap = 8;
  ASSERT_EQ(sheet.width, 2 * 384 + 3 * 216 + 2 * gap);
  // The first movement's amplified difference, below its label: grey where nothing moves.
  int64_t moved = 0, all = 0;
  for (int y = gap + 24; y < gap + 216; ++y)
    for (int x = sheet.width - gap - 216; x < sheet.width - gap; ++x, ++all) moved += std::abs(sheet.row(y)[3 * x] - 128) > 24;
  EXPECT_GT(moved, all / 200);
  EXPECT_LT(moved, all / 2);
}

TEST_F(SynthSet, RefusesASheetNamedLikeAnotherKindOfPicture) {
  const TemporaryFolder other;
  expect_error(
      ErrorKind::config, [&] { write_synth_preview(root(), small_set(), other.path() / "sheet.jpg"); }, "sheet.jpg");
}

TEST_F(SynthSet, RefusesASheetOfClipsThatAreNotThere) {
  const TemporaryFolder other;
  expect_error(
      ErrorKind::data, [&] { write_synth_preview(other.path(), small_set(), other.path() / "sheet.png"); }, "train_00000.mp4");
}

TEST_F(SynthSet, RefusesAFolderMadeWithOtherOptions) {
  SynthOptions other = small_set();
  other.amplitude_max = 0.08;
  const auto before = hashes_of(root());
  const Error error = expect_error(
      ErrorKind::config, [&] { make_synth(root(), other, 1); }, "made with other options");
  EXPECT_THAT(error.place(), testing::HasSubstr("synth.json"));
  EXPECT_EQ(hashes_of(root()), before);
}

TEST_F(SynthSet, RefusesAPhotographThatIsAnotherFile) {
  const TemporaryFolder other;
  const Photographs photographs(default_photograph_folder());
  for (const PhotographFile& file : photographs.files())
    fs::copy(default_photograph_folder() / file.name, other.path() / file.name);
  write_file_atomic(other.path() / "astronaut.png", "not the photograph");
  SynthOptions options = small_set();
  options.photographs = other.path().string();
  const Error error = expect_error(
      ErrorKind::environment, [&] { make_synth(other.path() / "set", options, 1); }, "astronaut.png");
  EXPECT_THAT(error.next_step(), testing::HasSubstr("tools/setup"));
}

TEST_F(SynthSet, NamesEspeakWhenItIsMissing) {
  const TemporaryFolder other;
  const EnvironmentValue path("PATH", other.path().c_str());
  const Error error = expect_error(
      ErrorKind::environment, [&] { make_synth(other.path() / "set", small_set(), 1); }, "espeak-ng");
  EXPECT_THAT(error.next_step(), testing::HasSubstr("tools/setup"));
  EXPECT_FALSE(fs::exists(other.path() / "set"));
}

TEST_F(SynthSet, RefusesAFolderThatCannotBeWritten) {
  const TemporaryFolder other;
  write_file_atomic(other.path() / "file", "a file where a folder should be");
  expect_error(
      ErrorKind::environment, [&] { make_synth(other.path() / "file/set", small_set(), 1); }, "file");
}

TEST(SynthOptionsCheck, NamesTheSetupWhenPhotographsAreMissing) {
  const TemporaryFolder empty;
  SynthOptions options = small_set();
  options.photographs = empty.path().string();
  const Error error = expect_error(
      ErrorKind::environment, [&] { make_synth(empty.path() / "set", options, 1); }, "grace_hopper_512x512.jpg");
  EXPECT_THAT(error.next_step(), testing::HasSubstr("tools/setup"));
  EXPECT_FALSE(fs::exists(empty.path() / "set"));
}

TEST(SynthOptionsCheck, RefusesAnAmplitudeRangeUpsideDown) {
  const TemporaryFolder folder;
  expect_error(
      ErrorKind::config, [&] { make_synth(folder.path() / "set", {.amplitude_min = 0.08, .amplitude_max = 0.06}, 1); },
      "amplitude_min");
}

TEST(SynthOptionsCheck, RefusesADurationRangeUpsideDown) {
  const TemporaryFolder folder;
  expect_error(
      ErrorKind::config, [&] { make_synth(folder.path() / "set", {.movement_min_s = 0.4, .movement_max_s = 0.2}, 1); },
      "movement_min_s");
}

TEST(SynthOptionsCheck, NamesTheNearestKeyOfOneThatDoesNotExist) {
  SynthOptions options;
  expect_error(
      ErrorKind::config, [&] { load_config(options, {}, {"amplitude_mim=0.05"}); }, "amplitude_min");
}

TEST(SynthOptionsCheck, RefusesAValueOutsideItsLimits) {
  SynthOptions options;
  expect_error(
      ErrorKind::config, [&] { load_config(options, {}, {"none_probability=1.5"}); }, "none_probability");
}

TEST(SynthOptionsCheck, ReadsTheShippedConfiguration) {
  SynthOptions options;
  load_config(options, {fs::path(MICROEMO_SOURCE_DIR) / "configs/quickstart/synth.yaml"});
  EXPECT_EQ(options.train_clips, 500);
  EXPECT_EQ(options.test_clips, 120);
}

ScriptedUtterance utterance_of(Manner manner, double length_s) {
  return {.sentence = {Sentiment::negative, 9, 6}, .manner = manner, .end_s = length_s, .words_per_minute = 220};
}

class SynthSpeech : public testing::Test {
 protected:
  void SetUp() override {
    try {
      espeak_version();
    } catch (const Error&) {
      GTEST_SKIP() << "espeak-ng is not installed (tools/setup does it)";
    }
  }
};

TEST_F(SynthSpeech, FitsTheLongestSentencesIntoTheShortestUtterance) {
  for (const std::string& voice : voices_of(SynthPart::train))
    for (int adjective = 0; adjective < synth_adjectives; ++adjective) {
      ScriptedUtterance u = utterance_of(Manner::lively, 0.9);
      u.sentence.adjective = adjective;
      EXPECT_LE(speak(u, voice).end_s(), 0.9);
    }
}

TEST_F(SynthSpeech, TakesAsLongFlatAsLively) {
  EXPECT_NEAR(speak(utterance_of(Manner::flat, 3), "en-us+m1").end_s(),
              speak(utterance_of(Manner::lively, 3), "en-us+m1").end_s(), 0.05);
}

TEST_F(SynthSpeech, IsLouderWhenLively) {
  const media::Sound flat = speak(utterance_of(Manner::flat, 3), "en-us+f1"),
                     lively = speak(utterance_of(Manner::lively, 3), "en-us+f1");
  EXPECT_GT(power(lively, 0, lively.end_s()), 2 * power(flat, 0, flat.end_s()));
}

TEST_F(SynthSpeech, RefusesAVoiceThatEspeakDoesNotHave) {
  expect_error(
      ErrorKind::environment,
      [] {
        check_voices({"en-us+m1", "en-us+nobody"});
      },
      "nobody");
}

}  // namespace
}  // namespace microemo::data
