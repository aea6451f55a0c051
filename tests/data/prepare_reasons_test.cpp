#include <sys/stat.h>

#include <map>

#include "media/media.h"
#include "microemo/base/files.h"
#include "microemo/base/json.h"
#include "microemo/data/prepared.h"
#include "support/errors.h"

namespace microemo::data {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using test::ffmpeg;
using testing::HasSubstr;

/// Clips that cannot be prepared, each for another reason, and good ones.
class PrepareReasons : public testing::Test {
 protected:
  fs::path root() const { return folder_.path(); }
  fs::path cache() const { return root() / "cache"; }
  Clip make(const std::string& id, const std::string& bytes) {
    write_file_atomic(root() / (id + ".mp4"), bytes);
    return {.id = id, .video = root() / (id + ".mp4"), .line = ++line_};
  }
  /// Of other content for each id.
  Clip make_good(const std::string& id) {
    ffmpeg({"-f", "lavfi", "-i", "testsrc2=s=64x48:r=10:d=0.4", "-metadata", "title=" + id, "-c:v", "libx264", "-preset",
            "ultrafast", "-threads", "1", (root() / (id + ".mp4")).string()});
    return {.id = id, .video = root() / (id + ".mp4"), .line = ++line_};
  }
  Manifest manifest_of(std::vector<Clip> clips) const { return {root() / "m.jsonl", "", std::move(clips)}; }
  PrepareReport prepare(const Manifest& manifest, PrepareRun run) const {
    run.workers = 1;
    return prepare_manifest(manifest, cache(), {.faces = false}, run);
  }
  /// The reason and message under which the clip is skipped.
  Json skipped(Clip clip) {
    clip.id = "only";
    prepare(manifest_of({clip}), {.max_skipped = 1.0});
    Json found;
    read_jsonl(cache() / "skipped.jsonl", [&](const Json& line, int64_t) { found = line; });
    return found;
  }
  void expect_reason(const Clip& clip, const std::string& reason) {
    const Json line = skipped(clip);
    EXPECT_EQ(line["reason"], reason) << line.dump();
  }

 private:
  TemporaryFolder folder_;
  int64_t line_ = 0;
};

TEST_F(PrepareReasons, NamesWhatIsNoMedia) {
  expect_reason(make("a", "This is a letter."), "not_media");
  expect_reason(make("b", std::string(4000, '\x01')), "not_media");
}

TEST_F(PrepareReasons, NamesAFileOfAnotherFormat) {
  const fs::path picture = root() / "a.gif";
  test::ffmpeg({"-f", "lavfi", "-i", "testsrc2=size=64x48:rate=5:duration=1", picture.string()});
  expect_reason({.id = "a", .video = picture}, "not_decodable");
}

TEST_F(PrepareReasons, NamesAnEmptyFile) { expect_reason(make("a", ""), "empty"); }

TEST_F(PrepareReasons, NamesAMissingFile) { expect_reason({.id = "a", .video = root() / "no.mp4"}, "missing"); }

TEST_F(PrepareReasons, NamesATruncatedFile) {
  const Clip clip = make_good("a");
  const std::string bytes = read_file(clip.video);
  write_file_atomic(clip.video, bytes.substr(0, bytes.size() / 2));
  expect_reason(clip, "truncated");
}

TEST_F(PrepareReasons, NamesAnUtteranceBehindTheEnd) {
  Clip clip = make_good("a");
  clip.utterances = {{.start_s = 0, .end_s = 9}};
  expect_reason(clip, "utterance_outside");
}

TEST_F(PrepareReasons, NamesAClipOfWordsAlone) { expect_reason({.id = "a"}, "no_video"); }

TEST_F(PrepareReasons, NamesAPipe) {
  const fs::path pipe = root() / "pipe.mp4";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  expect_reason({.id = "a", .video = pipe}, "not_a_file");
}

TEST_F(PrepareReasons, CountsThemInTheReport) {
  const Manifest manifest = manifest_of({make("a", ""), make_good("b"), make("c", "text"), make("d", "more text")});
  const PrepareReport report = prepare(manifest, {.max_skipped = 0.75});
  EXPECT_EQ(report.skipped, 3);
  EXPECT_EQ(report.reasons, (std::map<std::string, int64_t>{{"empty", 1}, {"not_media", 2}}));
  EXPECT_EQ(report.done, 1);
}

TEST_F(PrepareReasons, AShareThatCannotBeMetAnyMoreStopsTheRun) {
  const Manifest manifest =
      manifest_of({make("a", "text"), make("b", ""), make("c", "other text"), make_good("d"), make_good("e")});
  const Error error = expect_error(
      ErrorKind::data, [&] { prepare(manifest, {.max_skipped = 0.4}); },
      "3 of 5 clips cannot be prepared (not_media 2, empty 1); at most a share of 0.4 may be skipped");
  EXPECT_THAT(error.next_step(), HasSubstr("error page"));
  EXPECT_THAT(error.next_step(), HasSubstr("--max-skipped"));
  EXPECT_FALSE(fs::exists(cache_file(cache(), manifest.clips[3], {.faces = false}))) << "it was looked at behind the stop";
}

TEST_F(PrepareReasons, ANumberOfClipsStopsTheRunToo) {
  const Manifest manifest = manifest_of({make("a", "text"), make("b", "other"), make_good("c")});
  expect_error(
      ErrorKind::data, [&] { prepare(manifest, {.max_skipped_clips = 1}); }, "at most 1 may be skipped");
  EXPECT_FALSE(fs::exists(cache_file(cache(), manifest.clips[2], {.faces = false})));
  EXPECT_EQ(prepare(manifest, {.max_skipped_clips = 2}).done, 1);
}

TEST_F(PrepareReasons, TheSmallerOfBothLimitsHolds) {
  const Manifest manifest = manifest_of({make("a", "text"), make("b", "other"), make_good("c")});
  expect_error(
      ErrorKind::data, [&] { prepare(manifest, {.max_skipped = 1.0, .max_skipped_clips = 1}); }, "a share of 1");
  expect_error(
      ErrorKind::data, [&] { prepare(manifest, {.max_skipped = 0.5, .max_skipped_clips = 9}); }, "a share of 0.5");
}

TEST_F(PrepareReasons, WhatWasSkippedBeforeAnEarlyStopIsListedAndTriedAgain) {
  const Clip mended = make("a", "text");
  const Manifest manifest = manifest_of({mended, make_good("b")});
  expect_error(
      ErrorKind::data, [&] { prepare(manifest, {.max_skipped = 0.0}); }, "1 of 2 clips");
  EXPECT_TRUE(fs::exists(cache() / "skipped.jsonl"));
  ffmpeg({"-i", manifest.clips[1].video.string(), "-c", "copy", "-metadata", "title=other", mended.video.string()});
  EXPECT_EQ(prepare(manifest, {.max_skipped = 0.0}).done, 2);
  EXPECT_FALSE(fs::exists(cache() / "skipped.jsonl"));
}

TEST_F(PrepareReasons, AShardPreparesItsClipsAlone) {
  const Manifest manifest = manifest_of({make_good("a"), make_good("b"), make_good("c"), make_good("d"), make_good("e")});
  EXPECT_EQ(prepare(manifest, {.shard = {2, 3}}).done, 2);
  for (size_t i = 0; i < 5; ++i)
    EXPECT_EQ(fs::exists(cache_file(cache(), manifest.clips[i], {.faces = false})), i == 1 || i == 4) << i;
  EXPECT_EQ(prepare(manifest, {.shard = {1, 3}}).done, 2);
  EXPECT_EQ(prepare(manifest, {.shard = {3, 3}}).done, 1);
  EXPECT_EQ(prepare(manifest, {}).already_there, 5);
}

TEST_F(PrepareReasons, AShardWithoutAClipIsDoneAtOnce) {
  const PrepareReport report = prepare(manifest_of({make_good("a")}), {.shard = {2, 2}});
  EXPECT_EQ(report.clips, 0);
  EXPECT_FALSE(report.stopped);
}

TEST_F(PrepareReasons, AShardKeepsTheSkippedClipsOfTheOthers) {
  const Manifest manifest = manifest_of({make("a", "text"), make("b", "other"), make_good("c"), make_good("d")});
  prepare(manifest, {.shard = {1, 2}, .max_skipped = 1.0});
  prepare(manifest, {.shard = {2, 2}, .max_skipped = 1.0});
  std::vector<std::string> ids;
  read_jsonl(cache() / "skipped.jsonl", [&](const Json& line, int64_t) { ids.push_back(line["id"]); });
  EXPECT_EQ(ids, (std::vector<std::string>{"a", "b"}));
}

TEST_F(PrepareReasons, TheShareIsThatOfTheShard) {
  const Manifest manifest = manifest_of({make("a", "text"), make_good("b"), make_good("c"), make_good("d")});
  expect_error(
      ErrorKind::data,
      [&] {
        prepare(manifest, {.shard = {1, 2}, .max_skipped = 0.25});
      },
      "1 of 2 clips");
  EXPECT_EQ(prepare(manifest, {.max_skipped = 0.25}).skipped, 1);
}

}  // namespace
}  // namespace microemo::data
