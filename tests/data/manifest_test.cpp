#include "microemo/data/manifest.h"

#include <sys/stat.h>

#include "microemo/base/files.h"
#include "microemo/base/hash.h"
#include "microemo/media/sound.h"
#include "support/errors.h"

namespace microemo::data {
namespace {

using test::expect_error;
using testing::HasSubstr;

/// A folder with two videos (of no content: a manifest does not open them) and a manifest of the given lines.
class Folder {
 public:
  explicit Folder(const std::string& lines) {
    write_file_atomic(root() / "videos/a.mp4", "");
    write_file_atomic(root() / "videos/b.mp4", "");
    write_file_atomic(manifest(), lines);
  }
  const std::filesystem::path& root() const { return folder_.path(); }
  std::filesystem::path manifest() const { return root() / "train.jsonl"; }

 private:
  TemporaryFolder folder_;
};

constexpr auto plain_a = R"({"id": "a", "video": "videos/a.mp4"})";
constexpr auto plain_b = R"({"id": "b", "video": "videos/b.mp4"})";

/// Refused with kind data at this line of the manifest, and with a step to take.
void expect_refused(const std::string& lines, const std::string& message, int64_t line) {
  const Folder folder(lines);
  const Error error = expect_error(
      ErrorKind::data, [&] { read_manifest(folder.manifest()); }, message);
  EXPECT_THAT(error.place(), HasSubstr("train.jsonl"));
  EXPECT_THAT(error.place(), HasSubstr("line " + std::to_string(line))) << error.what();
  EXPECT_FALSE(error.next_step().empty()) << error.what();
}

std::string clip_with(const std::string& members) { return R"({"id": "a", "video": "videos/a.mp4", )" + members + "}"; }

std::string clip_with_transcript(Folder& folder, const std::string& srt) {
  write_file_atomic(folder.root() / "a.srt", srt);
  return clip_with(R"("transcript": "a.srt")");
}

TEST(Manifest, ReadsClipsInOrderWithTheirLines) {
  const Folder folder(std::string(plain_a) + "\n\n" + plain_b + "\n");
  const Manifest manifest = read_manifest(folder.manifest());
  ASSERT_EQ(manifest.clips.size(), 2u);
  EXPECT_EQ(manifest.clips[0].id, "a");
  EXPECT_EQ(manifest.clips[1].id, "b");
  EXPECT_EQ(manifest.clips[0].line, 1);
  EXPECT_EQ(manifest.clips[1].line, 3);
}

TEST(Manifest, JoinsVideosWithItsFolder) {
  const Folder folder(plain_a);
  EXPECT_EQ(read_manifest(folder.manifest()).clips[0].video, folder.root() / "videos/a.mp4");
}

TEST(Manifest, KeepsAbsoluteVideos) {
  const Folder other(plain_a);
  const Folder folder(R"({"id": "a", "video": ")" + (other.root() / "videos/a.mp4").string() + "\"}");
  EXPECT_EQ(read_manifest(folder.manifest()).clips[0].video, other.root() / "videos/a.mp4");
}

TEST(Manifest, KnowsItsHash) {
  const Folder folder(plain_a);
  EXPECT_EQ(read_manifest(folder.manifest()).hash, sha256_file(folder.manifest()));
}

TEST(Manifest, ReadsEveryMember) {
  const Folder folder(clip_with(
      R"("split": "test", "identity": "hopper", "speaker": "voice 2", "dialogue": "d 7", "labels": ["calm"],)"
      R"("utterances": [{"start_s": 0, "end_s": 1.5, "text": "Well.", "speaker": "s", "labels": ["happy", "amused"], "question": "q?",)"
      R"("answer": "An answer.", "face": "brow_up", "voice": "lively", "words": "positive"}],)"
      R"("movements": [{"unit": "brow_up", "onset_s": 0.2, "apex_s": 0.3, "offset_s": 0.4, "amplitude": 0.06, "utterance": 0}])"));
  const Clip clip = read_manifest(folder.manifest()).clips.at(0);
  EXPECT_EQ(clip.split, "test");
  EXPECT_EQ(clip.identity, "hopper");
  EXPECT_EQ(clip.speaker, "voice 2");
  EXPECT_EQ(clip.dialogue, "d 7");
  EXPECT_EQ(clip.labels, std::vector<std::string>{"calm"});
  const Utterance& utterance = clip.utterances.at(0);
  EXPECT_DOUBLE_EQ(utterance.end_s, 1.5);
  EXPECT_EQ(utterance.text, "Well.");
  EXPECT_EQ(utterance.speaker, "s");
  EXPECT_EQ(utterance.labels, (std::vector<std::string>{"happy", "amused"}));
  EXPECT_EQ(utterance.question, "q?");
  EXPECT_EQ(utterance.answer, "An answer.");
  EXPECT_EQ(utterance.face, "brow_up");
  EXPECT_EQ(utterance.voice, "lively");
  EXPECT_EQ(utterance.words, "positive");
  const Movement& movement = clip.movements.at(0);
  EXPECT_EQ(movement.unit, "brow_up");
  EXPECT_DOUBLE_EQ(movement.onset_s, 0.2);
  EXPECT_DOUBLE_EQ(movement.apex_s, 0.3);
  EXPECT_DOUBLE_EQ(movement.offset_s, 0.4);
  EXPECT_DOUBLE_EQ(movement.amplitude, 0.06);
  EXPECT_EQ(movement.utterance, 0);
}

TEST(Manifest, JoinsFeaturesWithItsFolder) {
  const Folder folder(clip_with(R"("features": {"voice": "videos/a.mp4"})"));
  const Clip clip = read_manifest(folder.manifest()).clips.at(0);
  ASSERT_EQ(clip.features.size(), 1u);
  EXPECT_TRUE(std::filesystem::equivalent(clip.features.at("voice"), folder.root() / "videos/a.mp4"));
}

TEST(Manifest, RefusesFeaturesThatAreNoObjectOfFiles) {
  expect_refused(clip_with(R"("features": ["a.npy"])"), "the features of clip \"a\" are no object", 1);
  expect_refused(clip_with(R"("features": {"voice": "none.npy"})"), "the voice", 1);
  expect_refused(clip_with(R"("features": {"voice": "videos"})"), "videos is no file", 1);
  expect_refused(clip_with(R"("features": {"voice": 3})"), "voice", 1);
}

TEST(Manifest, TakesUtterancesFromATranscript) {
  Folder folder("");
  write_file_atomic(
      folder.manifest(),
      clip_with_transcript(folder, "1\n00:00:00,500 --> 00:00:01,250\nHello.\n\n2\n00:00:01,250 --> 00:00:02,000\nYes.\n"));
  const Clip clip = read_manifest(folder.manifest()).clips.at(0);
  ASSERT_EQ(clip.utterances.size(), 2u);
  EXPECT_EQ(clip.utterances[0].text, "Hello.");
  EXPECT_DOUBLE_EQ(clip.utterances[1].start_s, 1.25);
}

TEST(Manifest, TakesUtterancesFromTranscriptsOfOtherKinds) {
  for (const auto& [name, text] : {std::pair{"a.vtt", "WEBVTT\n\n00:00.500 --> 00:01.250\n<v Ann>Hello.\n"},
                                   {"a.json", R"([{"start": 0.5, "end": 1.25, "text": " Hello.", "speaker": "Ann"}])"},
                                   {"a.csv", "StartTime,EndTime,Speaker,Utterance\n0.5,1.25,Ann,Hello.\n"}}) {
    const Folder folder(clip_with(fmt::format(R"("transcript": "{}")", name)));
    write_file_atomic(folder.root() / name, text);
    const Clip clip = read_manifest(folder.manifest()).clips.at(0);
    ASSERT_EQ(clip.utterances.size(), 1u) << name;
    EXPECT_EQ(clip.utterances[0].text, "Hello.");
    EXPECT_EQ(clip.utterances[0].speaker, "Ann");
    EXPECT_EQ(clip.utterances[0].end_s, 1.25);
  }
}

TEST(Manifest, GivesTextWithoutTimesToTheWholeClip) {
  const Folder folder(R"({"id": "a", "video": "tone.wav", "transcript": "a.txt"})");
  write_file_atomic(folder.root() / "a.txt", "Hello.\nYou.\n");
  media::Sound tone;
  tone.samples.assign(24000, 0.1F);
  media::write_wav(folder.root() / "tone.wav", tone);
  const Clip clip = read_manifest(folder.manifest()).clips.at(0);
  ASSERT_EQ(clip.utterances.size(), 1u);
  EXPECT_EQ(clip.utterances[0].text, "Hello. You.");
  EXPECT_EQ(clip.utterances[0].start_s, 0);
  EXPECT_NEAR(clip.utterances[0].end_s, 1.5, 1e-6);
}

TEST(Manifest, RefusesTextWithoutTimesWhereTheLengthIsNotKnown) {
  const Folder folder(R"({"id": "a", "transcript": "a.txt"})");
  write_file_atomic(folder.root() / "a.txt", "Hello.");
  const Error error = expect_error(
      ErrorKind::data, [&] { read_manifest(folder.manifest()); }, "has no times");
  EXPECT_THAT(error.place(), HasSubstr("line 1"));
}

TEST(Manifest, AcceptsUtterancesThatTouch) {
  const Folder folder(clip_with(R"("utterances": [{"start_s": 0, "end_s": 1}, {"start_s": 1, "end_s": 2}])"));
  EXPECT_EQ(read_manifest(folder.manifest()).clips.at(0).utterances.size(), 2u);
}

TEST(Manifest, RefusesAnEmptyFile) {
  for (const char* lines : {"", "\n", "  \n\t\n"}) {
    const Folder folder(lines);
    const Error error = expect_error(
        ErrorKind::data, [&] { read_manifest(folder.manifest()); }, "the manifest is empty");
    EXPECT_THAT(error.place(), HasSubstr("train.jsonl"));
  }
}

TEST(Manifest, RefusesAMissingFile) {
  expect_error(
      ErrorKind::data, [] { read_manifest("no/such.jsonl"); }, "no/such.jsonl");
}

TEST(Manifest, RefusesALineThatIsNoJson) { expect_refused(std::string(plain_a) + "\n{\"id\": \n", "", 2); }

TEST(Manifest, RefusesALineThatIsNoObject) { expect_refused("[1, 2]", "must be a JSON object", 1); }

TEST(Manifest, RefusesAClipWithoutId) {
  expect_refused(R"({"video": "videos/a.mp4"})", "'id' is missing", 1);
  expect_refused(R"({"id": "", "video": "videos/a.mp4"})", "id is empty", 1);
}

TEST(Manifest, RefusesAnIdThatStandsTwice) {
  expect_refused(std::string(plain_a) + "\n" + plain_b + "\n" + plain_a, "\"a\" stands on line 1 already", 3);
}

TEST(Manifest, RefusesUnknownKeysWithTheNearestName) {
  expect_refused(clip_with(R"("spilt": "train")"), "did you mean \"split\"", 1);
  expect_refused(clip_with(R"("dialog": "d")"), "did you mean \"dialogue\"", 1);
  expect_refused(clip_with(R"("utterances": [{"start_s": 0, "end_s": 1, "dialogue": "d"}])"), "an utterance has no key", 1);
  expect_refused(clip_with(R"("utterances": [{"start": 0, "end_s": 1}])"), "did you mean \"start_s\"", 1);
  expect_refused(clip_with(R"("movements": [{"unit": "lid", "onset_s": 0, "apex": 1, "offset_s": 2}])"),
                 "did you mean \"apex_s\"", 1);
}

TEST(Manifest, ListsTheKeysWhenNoneIsNear) {
  const Folder folder(clip_with(R"("resolution": 4)"));
  const Error error = expect_error(
      ErrorKind::data, [&] { read_manifest(folder.manifest()); }, "no key \"resolution\"");
  EXPECT_THAT(error.next_step(), HasSubstr("id, video, split"));
}

TEST(Manifest, RefusesAKeyThatStandsTwice) { expect_refused(clip_with(R"("split": "a", "split": "b")"), "split", 1); }

TEST(Manifest, RefusesAWrongType) {
  expect_refused(clip_with(R"("split": 1)"), "'split' is 1", 1);
  expect_refused(clip_with(R"("dialogue": 12)"), "'dialogue' is 12", 1);
  expect_refused(clip_with(R"("dialogue": ["d"])"), "'dialogue'", 1);
  expect_refused(clip_with(R"("labels": "happy")"), "'labels'", 1);
  expect_refused(clip_with(R"("utterances": [{"start_s": "0", "end_s": 1}])"), "'start_s'", 1);
  expect_refused(clip_with(R"("utterances": ["hello"])"), "an utterance must be a JSON object", 1);
}

TEST(Manifest, RefusesAnUtteranceWithoutTimes) {
  expect_refused(clip_with(R"("utterances": [{"text": "x", "start_s": 0}])"), "'end_s' is missing", 1);
}

TEST(Manifest, RefusesAnUtteranceThatEndsBeforeItStarts) {
  expect_refused(clip_with(R"("utterances": [{"start_s": 2, "end_s": 1}])"),
                 "utterance 1 of clip \"a\" starts at 2.000 s and ends at 1.000 s", 1);
  expect_refused(clip_with(R"("utterances": [{"start_s": 2, "end_s": 2}])"), "ends at 2.000 s", 1);
}

TEST(Manifest, RefusesNegativeTimes) {
  expect_refused(clip_with(R"("utterances": [{"start_s": -0.5, "end_s": 1}])"), "starts at -0.500 s", 1);
}

TEST(Manifest, RefusesUtterancesThatOverlapOrAreOutOfOrder) {
  expect_refused(clip_with(R"("utterances": [{"start_s": 0, "end_s": 1}, {"start_s": 0.9, "end_s": 2}])"),
                 "utterance 2 of clip \"a\"", 1);
  expect_refused(clip_with(R"("utterances": [{"start_s": 3, "end_s": 4}, {"start_s": 0, "end_s": 1}])"),
                 "before the one above it ends", 1);
}

TEST(Manifest, RefusesEmptyLabels) { expect_refused(clip_with(R"("labels": ["happy", ""])"), "a label is empty", 1); }

TEST(Manifest, RefusesMovementsThatCannotBe) {
  expect_refused(clip_with(R"("movements": [{"unit": "lid", "onset_s": 0.4, "apex_s": 0.3, "offset_s": 0.5}])"),
                 "movement \"lid\"", 1);
  expect_refused(clip_with(R"("movements": [{"unit": "lid", "onset_s": 0.1, "apex_s": 0.3, "offset_s": 0.5, "utterance": 0}])"),
                 "the clip has 0", 1);
  expect_refused(clip_with(R"("movements": [{"unit": "lid", "onset_s": 0.1, "apex_s": 0.3, "offset_s": 0.5, "utterance": -2}])"),
                 "names utterance -2", 1);
}

TEST(Manifest, RefusesAVideoThatDoesNotExist) {
  expect_refused(R"({"id": "a", "video": "videos/c.mp4"})", "videos/c.mp4 does not exist", 1);
}

TEST(Manifest, RefusesAVideoThatIsAFolder) { expect_refused(R"({"id": "a", "video": "videos"})", "videos is no file", 1); }

TEST(Manifest, RefusesPathsThatTheSystemDoesNotTake) {
  const std::string longer(5000, 'x');
  expect_refused(R"({"id": "a", "video": ")" + longer + "\"}", "File name too long", 1);
  expect_refused(std::string(plain_b) + "\n" + clip_with("\"transcript\": \"" + longer + "\""), "File name too long", 2);
}

TEST(Manifest, ShowsALongPathByItsEnds) {
  const Folder folder(R"({"id": "a", "video": ")" + std::string(5000, 'x') + ".mp4\"}");
  const Error error = expect_error(
      ErrorKind::data, [&] { read_manifest(folder.manifest()); }, "xxx.mp4");
  EXPECT_LT(error.message().size(), 400u);
}

TEST(Manifest, RefusesLinksThatGoInACircle) {
  for (const std::string key : {"video", "transcript"}) {
    const Folder folder(key == "video" ? R"({"id": "a", "video": "one"})" : clip_with(R"("transcript": "one")"));
    std::filesystem::create_symlink("two", folder.root() / "one");
    std::filesystem::create_symlink("one", folder.root() / "two");
    const Error error = expect_error(
        ErrorKind::data, [&] { read_manifest(folder.manifest()); }, "symbolic links");
    EXPECT_THAT(error.place(), HasSubstr("line 1"));
  }
}

TEST(Manifest, RefusesAPathWithACharacterOfCodeZero) {
  expect_refused(R"({"id": "a", "video": "videos/a.mp4\u0000x"})", "code 0", 1);
  expect_refused(clip_with(R"("transcript": "a.srt\u0000")"), "code 0", 1);
}

TEST(Manifest, RefusesPipesInsteadOfWaitingForThem) {
  for (const std::string key : {"video", "transcript"}) {
    const Folder folder(key == "video" ? R"({"id": "a", "video": "pipe"})" : clip_with(R"("transcript": "pipe")"));
    ASSERT_EQ(::mkfifo((folder.root() / "pipe").c_str(), 0600), 0);
    expect_error(
        ErrorKind::data, [&] { read_manifest(folder.manifest()); }, "pipe is no file");
    expect_error(
        ErrorKind::data, [&] { read_manifest(folder.root() / "pipe"); }, "not a regular file");
  }
}

TEST(Manifest, RefusesTimesThatNoClipHas) {
  for (const char* end : {"1e300", "10000001"}) {
    const Folder folder(clip_with(fmt::format(R"("utterances": [{{"start_s": 0, "end_s": {}}}])", end)));
    const Error error = expect_error(
        ErrorKind::data, [&] { read_manifest(folder.manifest()); }, "no clip is so long");
    EXPECT_LT(error.message().size(), 100u);
  }
  expect_refused(clip_with(R"("utterances": [{"start_s": -1e300, "end_s": 1}])"), "starts at -1e+300 s", 1);
  expect_refused(clip_with(R"("movements": [{"unit": "lid", "onset_s": 0, "apex_s": 1, "offset_s": 1e300}])"), "1e+300 s", 1);
}

TEST(Manifest, RefusesATranscriptThatDoesNotExist) {
  expect_refused(clip_with(R"("transcript": "b.srt")"), "b.srt does not exist", 1);
}

TEST(Manifest, RefusesTranscriptAndUtterancesTogether) {
  expect_refused(clip_with(R"("transcript": "a.srt", "utterances": [])"), "both", 1);
}

TEST(Manifest, NamesTheTranscriptAndItsLineInErrors) {
  Folder folder("");
  write_file_atomic(
      folder.manifest(),
      clip_with_transcript(folder, "1\n00:00:00,500 --> 00:00:02,250\nHello.\n\n2\n00:00:01,250 --> 00:00:03,000\nYes.\n"));
  const Error error = expect_error(
      ErrorKind::data, [&] { read_manifest(folder.manifest()); }, "starts at 1.250 s, before the one above it ends");
  EXPECT_THAT(error.place(), HasSubstr("a.srt"));
  EXPECT_THAT(error.place(), HasSubstr("line 6"));
}

TEST(Manifest, HandsEveryMistakeToTheCallerWhenAsked) {
  const Folder folder(std::string("{oops\n") + plain_a + "\n" + R"({"video": "videos/a.mp4"})" + "\n" + plain_a + "\n" + plain_b);
  std::vector<int64_t> lines;
  const Manifest manifest = read_manifest(folder.manifest(), [&](const Error&, int64_t line) { lines.push_back(line); });
  EXPECT_EQ(lines, (std::vector<int64_t>{1, 3, 4}));
  EXPECT_EQ(manifest.clips.size(), 2u);
}

TEST(Manifest, ReadsBackWhatItWrites) {
  const Folder folder(plain_a);
  const std::vector<Clip> clips = {
      {.id = "naïve \"a\"",
       .video = folder.root() / "videos/a.mp4",
       .split = "train",
       .utterances = {{.start_s = 0.1, .end_s = 1.0 / 3, .text = "One\ntwo", .labels = {"happy"}, .answer = "Yes."},
                      {.start_s = 1, .end_s = 2}},
       .labels = {"calm", "glad"},
       .movements = {{.unit = "lid", .onset_s = 0.1, .apex_s = 0.2, .offset_s = 0.3, .amplitude = 0.05, .utterance = 1}},
       .features = {{"voice", folder.root() / "videos/a.mp4"}},
       .identity = "i",
       .speaker = "s",
       .dialogue = "d"},
      {.id = "b", .video = folder.root() / "videos/b.mp4"}};
  write_manifest(folder.root() / "out/copy.jsonl", clips);
  const Manifest again = read_manifest(folder.root() / "out/copy.jsonl");
  ASSERT_EQ(again.clips.size(), 2u);
  const Clip& clip = again.clips[0];
  EXPECT_EQ(clip.id, clips[0].id);
  EXPECT_TRUE(std::filesystem::equivalent(clip.video, clips[0].video));
  EXPECT_EQ(clip.labels, clips[0].labels);
  EXPECT_EQ(clip.identity + clip.speaker + clip.dialogue + clip.split, "isdtrain");
  EXPECT_EQ(again.clips[1].dialogue, "");
  ASSERT_EQ(clip.utterances.size(), 2u);
  EXPECT_EQ(clip.utterances[0].end_s, 1.0 / 3);
  EXPECT_EQ(clip.utterances[0].text, "One\ntwo");
  EXPECT_EQ(clip.utterances[0].answer, "Yes.");
  EXPECT_EQ(clip.movements.at(0).amplitude, 0.05);
  EXPECT_EQ(clip.movements.at(0).utterance, 1);
  ASSERT_EQ(clip.features.size(), 1u);
  EXPECT_TRUE(std::filesystem::equivalent(clip.features.at("voice"), folder.root() / "videos/a.mp4"));
}

TEST(Manifest, AClipWithoutAVideoIsWordsAlone) {
  const Folder folder(R"({"id": "a", "utterances": [{"start_s": 0, "end_s": 1, "text": "Well."}]})");
  const Manifest manifest = read_manifest(folder.manifest());
  EXPECT_TRUE(manifest.clips.at(0).video.empty());
  write_manifest(folder.root() / "again.jsonl", manifest.clips);
  EXPECT_TRUE(read_manifest(folder.root() / "again.jsonl").clips.at(0).video.empty());
}

TEST(Manifest, RefusesAVideoWithoutAName) { expect_refused(R"({"id": "a", "video": ""})", "", 1); }

TEST(Manifest, NamesVideosBelowItsFolderRelatively) {
  const Folder folder(plain_a);
  write_manifest(folder.root() / "copy.jsonl", {{.id = "a", .video = folder.root() / "videos/a.mp4"}});
  EXPECT_THAT(read_file(folder.root() / "copy.jsonl"), HasSubstr("\"videos/a.mp4\""));
}

}  // namespace
}  // namespace microemo::data
