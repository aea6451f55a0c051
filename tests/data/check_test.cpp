#include "microemo/data/check.h"

#include "media/media.h"
#include "microemo/base/files.h"
#include "microemo/data/manifest.h"
#include "microemo/formats/npy.h"
#include "microemo/media/frame_reader.h"
#include "support/errors.h"

namespace microemo::data {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using test::ffmpeg;
using testing::HasSubstr;

/// A folder with a.mp4, b.mp4 and c.mp4, each of other content, half a second long with picture and sound.
class Check : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    videos_ = std::make_unique<TemporaryFolder>();
    for (const std::string name : {"a", "b", "c"})
      ffmpeg({"-f", "lavfi", "-i", "testsrc2=s=160x120:r=25:d=0.5", "-f", "lavfi", "-i", "sine=r=16000:d=0.5", "-metadata",
              "title=" + name, "-c:v", "libx264", "-preset", "ultrafast", "-threads", "1", "-c:a", "aac",
              (videos_->path() / (name + ".mp4")).string()});
  }
  static void TearDownTestSuite() { videos_.reset(); }

  fs::path root() const { return folder_.path(); }
  static fs::path video(const std::string& name) { return videos_->path() / name; }
  static Clip clip(const std::string& name, const std::string& split = "train") {
    return {.id = name,
            .video = video(name + ".mp4"),
            .split = split,
            .utterances = {{.start_s = 0.1, .end_s = 0.4, .text = "Hm.", .labels = {"calm"}}}};
  }
  CheckReport check(const std::vector<Clip>& clips) const {
    write_manifest(root() / "m.jsonl", clips);
    return check_manifests({root() / "m.jsonl"}, 1);
  }
  /// The only finding of these clips.
  Finding only(const std::vector<Clip>& clips, Severity severity, const std::string& code) const {
    const CheckReport report = check(clips);
    EXPECT_EQ(report.findings.size(), 1u) << to_json(report).dump(1);
    if (report.findings.empty()) return {};
    EXPECT_EQ(name_of(report.findings[0].severity), std::string(name_of(severity)));
    EXPECT_EQ(report.findings[0].code, code);
    EXPECT_FALSE(report.findings[0].next_step.empty());
    return report.findings[0];
  }

 private:
  static inline std::unique_ptr<TemporaryFolder> videos_;
  TemporaryFolder folder_;
};

TEST_F(Check, FindsNothingWrongWithGoodClips) {
  const CheckReport report = check({clip("a"), clip("b"), clip("c", "test")});
  EXPECT_EQ(report.lines, 3);
  EXPECT_TRUE(report.findings.empty()) << to_json(report).dump(1);
}

TEST_F(Check, ListsEveryBrokenLineWithItsNumber) {
  const std::string good = R"({"id": "a", "video": ")" + video("a.mp4").string() +
                           R"(", "utterances": [{"start_s": 0, "end_s": 0.4, "labels": ["x"]}]})";
  write_file_atomic(root() / "m.jsonl", "{oops\n" + good + "\n{\"video\": \"b.mp4\"}\n");
  const CheckReport report = check_manifests({root() / "m.jsonl"}, 1);
  EXPECT_EQ(report.lines, 3);
  ASSERT_EQ(report.findings.size(), 2u);
  EXPECT_EQ(report.findings[0].line, 1);
  EXPECT_EQ(report.findings[1].line, 3);
  EXPECT_THAT(report.findings[1].message, HasSubstr("'id' is missing"));
  EXPECT_EQ(report.errors(), 2);
}

TEST_F(Check, OpensNoFileForWordsAlone) {
  write_file_atomic(root() / "m.jsonl",
                    R"({"id": "a", "utterances": [{"start_s": 0, "end_s": 9, "text": "Well.", "labels": ["calm"]}]})");
  const CheckReport report = check_manifests({root() / "m.jsonl"}, 1);
  EXPECT_EQ(report.lines, 1);
  EXPECT_TRUE(report.findings.empty());
}

TEST_F(Check, GoesOnAfterAPathThatTheSystemDoesNotTake) {
  const auto line = [](const std::string& id, const std::string& path) {
    return R"({"id": ")" + id + R"(", "video": ")" + path +
           R"(", "utterances": [{"start_s": 0, "end_s": 0.4, "labels": ["x"]}]})" + "\n";
  };
  fs::create_symlink("loop", root() / "loop");
  write_file_atomic(root() / "m.jsonl", line("long", std::string(5000, 'x')) + line("loop", "loop") +
                                            line("zero", "a.mp4\\u0000x") + line("a", video("a.mp4").string()));
  const CheckReport report = check_manifests({root() / "m.jsonl"}, 1);
  EXPECT_EQ(report.lines, 4);
  ASSERT_EQ(report.findings.size(), 3u) << to_json(report).dump(1);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(report.findings[i].line, int64_t(i) + 1);
}

TEST_F(Check, FindsTextNamedMp4) {
  write_file_atomic(root() / "text.mp4", "This is a letter.");
  Clip text = clip("a");
  text.video = root() / "text.mp4";
  const Finding finding = only({text, clip("b")}, Severity::error, "media");
  EXPECT_EQ(finding.id, "a");
  EXPECT_EQ(finding.line, 1);
  EXPECT_THAT(finding.place, HasSubstr("text.mp4"));
}

TEST_F(Check, FindsEmptyAndTruncatedFiles) {
  write_file_atomic(root() / "empty.mp4", "");
  const std::string bytes = read_file(video("a.mp4"));
  write_file_atomic(root() / "short.mp4", bytes.substr(0, bytes.size() / 2));
  Clip empty = clip("a"), truncated = clip("b");
  empty.video = root() / "empty.mp4";
  truncated.video = root() / "short.mp4";
  const CheckReport report = check({empty, truncated});
  EXPECT_EQ(report.errors(), 2);
}

TEST_F(Check, FindsUtterancesOutsideTheClip) {
  Clip late = clip("a");
  late.utterances[0].end_s = 2;
  EXPECT_THAT(only({late}, Severity::error, "outside").message, HasSubstr("ends at 2.000 s"));
}

TEST_F(Check, MentionsClipsWithoutSoundOrPicture) {
  ffmpeg({"-i", video("a.mp4").string(), "-an", "-c", "copy", (root() / "silent.mp4").string()});
  ffmpeg({"-i", video("b.mp4").string(), "-vn", "-c", "copy", (root() / "blind.mp4").string()});
  Clip silent = clip("a"), blind = clip("b");
  silent.video = root() / "silent.mp4";
  blind.video = root() / "blind.mp4";
  EXPECT_EQ(only({silent}, Severity::warning, "no-sound").id, "a");
  EXPECT_EQ(only({blind}, Severity::warning, "no-picture").id, "b");
}

TEST_F(Check, MentionsMissingUtterancesAndLabels) {
  Clip without_utterances = clip("a"), without_labels = clip("b");
  without_utterances.utterances.clear();
  without_labels.utterances.push_back({.start_s = 0.4, .end_s = 0.5});
  only({without_utterances}, Severity::warning, "no-utterances");
  EXPECT_THAT(only({without_labels}, Severity::warning, "no-labels").message, HasSubstr("utterance 2"));
}

TEST_F(Check, AnAnswerStandsForLabels) {
  Clip answered = clip("a");
  answered.utterances[0].labels.clear();
  answered.utterances[0].answer = "The person is calm.";
  EXPECT_TRUE(check({answered}).findings.empty());
}

TEST_F(Check, FindsTheSameVideoTwice) {
  fs::copy_file(video("a.mp4"), root() / "copy.mp4");
  Clip copy = clip("b");
  copy.video = root() / "copy.mp4";
  EXPECT_THAT(only({clip("a"), copy}, Severity::warning, "duplicate").message, HasSubstr("clip \"a\""));
}

TEST_F(Check, FindsTheSameVideoInTwoSplits) {
  fs::copy_file(video("a.mp4"), root() / "copy.mp4");
  Clip copy = clip("b", "test");
  copy.video = root() / "copy.mp4";
  const Finding finding = only({clip("a"), copy}, Severity::error, "leak");
  EXPECT_THAT(finding.message, HasSubstr("\"test\""));
  EXPECT_THAT(finding.message, HasSubstr("\"train\""));
}

TEST_F(Check, MentionsAPersonInTwoSplitsOnce) {
  for (std::string Clip::*who : {&Clip::identity, &Clip::speaker}) {
    Clip a = clip("a"), b = clip("b", "test"), c = clip("c", "test");
    a.*who = b.*who = c.*who = "hopper";
    const Finding finding = only({a, b, c}, Severity::warning, "leak");
    EXPECT_EQ(finding.line, 2);
    EXPECT_THAT(finding.message, HasSubstr("\"hopper\""));
  }
}

TEST_F(Check, MentionsADialogueInTwoSplitsOnce) {
  Clip a = clip("a"), b = clip("b", "test"), c = clip("c", "test");
  a.dialogue = b.dialogue = c.dialogue = "call 7";
  const Finding finding = only({a, b, c}, Severity::warning, "leak");
  EXPECT_EQ(finding.line, 2);
  EXPECT_THAT(finding.message, HasSubstr("dialogue \"call 7\" is in split \"test\" and in split \"train\""));
  EXPECT_THAT(finding.next_step, HasSubstr("unseen dialogues"));
}

TEST_F(Check, ClipsOfOneSplitMayShareADialogueAndThoseWithoutShareNone) {
  Clip a = clip("a"), b = clip("b");
  a.dialogue = b.dialogue = "call 7";
  EXPECT_TRUE(check({a, b, clip("c", "test")}).findings.empty());
}

TEST_F(Check, LooksAtSeveralManifestsTogether) {
  write_manifest(root() / "train.jsonl", {clip("a")});
  write_manifest(root() / "test.jsonl", {clip("a", "test")});
  const CheckReport report = check_manifests({root() / "train.jsonl", root() / "test.jsonl"}, 2);
  EXPECT_EQ(report.errors(), 1);
  EXPECT_EQ(report.warnings(), 1);  // the id stands in both
  EXPECT_EQ(report.findings.at(0).code, "duplicate");
}

TEST_F(Check, SaysThatATranscriptIsBrokenWithItsLine) {
  write_file_atomic(root() / "a.srt", "1\n00:00:02,000 --> 00:00:01,000\nx\n");
  write_file_atomic(root() / "m.jsonl", R"({"id": "a", "transcript": "a.srt", "video": ")" + video("a.mp4").string() + "\"}");
  const CheckReport report = check_manifests({root() / "m.jsonl"}, 1);
  ASSERT_EQ(report.findings.size(), 1u);
  EXPECT_THAT(report.findings[0].place, HasSubstr("a.srt"));
  EXPECT_THAT(report.findings[0].place, HasSubstr("line 2"));
}

TEST_F(Check, AnEmptyManifestIsAnError) {
  write_file_atomic(root() / "m.jsonl", "\n");
  expect_error(
      ErrorKind::data, [&] { check_manifests({root() / "m.jsonl"}, 1); }, "empty");
}

TEST_F(Check, CountsForStatistics) {
  Clip one = clip("a"), two = clip("b", "test");
  one.identity = "hopper";
  one.dialogue = two.dialogue = "call 7";
  one.movements = {{.unit = "lid", .onset_s = 0.1, .apex_s = 0.2, .offset_s = 0.3}};
  two.utterances.push_back({.start_s = 0.4, .end_s = 0.5, .speaker = "s"});
  write_manifest(root() / "m.jsonl", {one, two});
  const ManifestStats stats = manifest_stats({root() / "m.jsonl"}, 1);
  EXPECT_EQ(stats.splits.at("train").clips, 1);
  EXPECT_EQ(stats.splits.at("train").identities, 1);
  EXPECT_EQ(stats.splits.at("test").dialogues, 1);
  EXPECT_EQ(to_json(stats).at("splits").at("train").at("dialogues"), 1);
  EXPECT_EQ(stats.splits.at("test").utterances, 2);
  EXPECT_EQ(stats.splits.at("test").labelled, 1);
  EXPECT_EQ(stats.splits.at("test").speakers, 1);
  EXPECT_NEAR(stats.splits.at("test").speech_s, 0.4, 1e-9);
  EXPECT_EQ(stats.labels.at("calm"), 2);
  EXPECT_EQ(stats.movements.at("lid"), 1);
  EXPECT_NEAR(stats.utterance_min_s, 0.1, 1e-9);
  EXPECT_NEAR(stats.utterance_median_s, 0.3, 1e-9);
  EXPECT_EQ(stats.pictures.at("160x120"), 2);
  EXPECT_EQ(stats.codecs.at("h264 + aac"), 2);
  EXPECT_NEAR(stats.media_s, 1.0, 0.2);
}

/// Clip a with face crops of its own.
class CheckCrops : public Check {
 protected:
  Clip with_crops(int64_t count, double rate = 0, int value = 90) const {
    formats::NpyArray array;
    array.kind = formats::NpyKind::unsigned_integer;
    array.item_bytes = 1;
    array.shape = {count, 32, 32, 3};
    array.bytes.assign(size_t(count) * 32 * 32 * 3, char(value));
    return with_array(array, rate);
  }
  Clip with_array(const formats::NpyArray& array, double rate = 0) const {
    formats::write_npy(root() / "crops.npy", array);
    Clip result = clip("a");
    result.face_crops = root() / "crops.npy";
    result.face_crop_rate = rate;
    return result;
  }
  static int64_t frames() { return int64_t(media::FrameReader(video("a.mp4")).frames().size()); }
};

TEST_F(CheckCrops, FindsNothingWrongWithOneForEachFrameOrByRate) {
  EXPECT_TRUE(check({with_crops(frames())}).findings.empty());
  EXPECT_TRUE(check({with_crops(5, 10)}).findings.empty());
}

TEST_F(CheckCrops, CountsThemAgainstTheFrames) {
  const Finding finding = only({with_crops(frames() + 1)}, Severity::error, "face-crops");
  EXPECT_THAT(finding.message, HasSubstr(fmt::format("has {} face crops, and its video {} frames", frames() + 1, frames())));
  EXPECT_THAT(finding.place, HasSubstr("crops.npy"));
}

TEST_F(CheckCrops, ComparesTheLastOneByItsRateWithTheEnd) {
  EXPECT_THAT(only({with_crops(50, 25)}, Severity::error, "face-crops").message, HasSubstr("after the video"));
}

TEST_F(CheckCrops, LooksAtShapeAndType) {
  formats::NpyArray numbers = formats::make_npy(std::vector<float>(4 * 32 * 32 * 3, 1), {4, 32, 32, 3});
  EXPECT_THAT(only({with_array(numbers, 10)}, Severity::error, "face-crops").message, HasSubstr("does not hold bytes"));
  formats::NpyArray narrow;
  narrow.kind = formats::NpyKind::unsigned_integer;
  narrow.item_bytes = 1;
  narrow.shape = {4, 32, 16, 3};
  narrow.bytes.assign(4 * 32 * 16 * 3, 'x');
  EXPECT_THAT(only({with_array(narrow, 10)}, Severity::error, "face-crops").message, HasSubstr("another shape"));
}

TEST_F(CheckCrops, RefusesWhatIsNoArray) {
  Clip broken = clip("a");
  broken.face_crops = root() / "crops.npy";
  write_file_atomic(broken.face_crops, "not an array");
  EXPECT_THAT(only({broken}, Severity::error, "face-crops").place, HasSubstr("crops.npy"));
}

TEST_F(CheckCrops, WarnsWhenAllAreBlack) {
  EXPECT_THAT(only({with_crops(frames(), 0, 0)}, Severity::warning, "face-crops").message, HasSubstr("all face crops are black"));
}

TEST_F(CheckCrops, OneThatIsNotBlackIsEnough) {
  formats::NpyArray array;
  array.kind = formats::NpyKind::unsigned_integer;
  array.item_bytes = 1;
  array.shape = {5, 32, 32, 3};
  array.bytes.assign(size_t(5) * 32 * 32 * 3, '\0');
  array.bytes.back() = 'x';
  EXPECT_TRUE(check({with_array(array, 10)}).findings.empty());
}

}  // namespace
}  // namespace microemo::data
