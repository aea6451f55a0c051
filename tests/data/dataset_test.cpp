#include "microemo/base/files.h"
#include "microemo/data/sample.h"
#include "support/errors.h"

namespace microemo::data {
namespace {

using test::expect_error;
using testing::HasSubstr;

/// A manifest of one clip that was never prepared; a cache needs no more than its bytes to look for it.
class Unprepared : public testing::Test {
 protected:
  Manifest manifest() const {
    write_file_atomic(folder_.path() / "a.mp4", "film");
    write_manifest(folder_.path() / "m.jsonl", {{.id = "a", .video = folder_.path() / "a.mp4"}});
    return read_manifest(folder_.path() / "m.jsonl");
  }
  std::filesystem::path cache() const { return folder_.path() / "cache"; }
  std::string command() const {
    return fmt::format("run: microemo prepare {} --cache {}", (folder_.path() / "m.jsonl").string(), cache().string());
  }
  Error refused(const PrepareOptions& options, bool allow_missing) const {
    return expect_error(
        ErrorKind::data, [&] { load_dataset(manifest(), cache(), options, allow_missing); }, "in the feature cache");
  }

 private:
  TemporaryFolder folder_;
};

TEST_F(Unprepared, ClipIsNamedWithTheCommandThatPreparesIt) {
  const Error error = refused({}, false);
  EXPECT_THAT(error.place(), HasSubstr("line 1"));
  EXPECT_THAT(error.next_step(), HasSubstr(command() + " ("));
}

TEST_F(Unprepared, ClipIsNamedWithTheOptionsThatAreNotAtTheirDefaults) {
  const PrepareOptions options{.frame_rate = 2.5, .face_input = FaceInput::gray};
  EXPECT_THAT(refused(options, false).next_step(), HasSubstr(command() + " prepare.frame_rate=2.5 prepare.face_input=gray ("));
}

TEST_F(Unprepared, SetIsRefusedWithTheSameCommand) {
  EXPECT_EQ(refused({.face_size = 96}, true).next_step(), command() + " prepare.face_size=96");
}

/// A manifest of one clip without a video.
class WordsAlone : public testing::Test {
 protected:
  WordsAlone() { write_manifest(path(), {{.id = "a", .utterances = {{.start_s = 0, .end_s = 1, .text = "Well."}}}}); }
  std::filesystem::path path() const { return folder_.path() / "m.jsonl"; }

 private:
  TemporaryFolder folder_;
};

TEST_F(WordsAlone, NeedNoCache) {
  const Dataset dataset = load_words(read_manifest(path()));
  ASSERT_EQ(dataset.samples.size(), 1u);
  EXPECT_EQ(dataset.samples[0].clip.utterances.at(0).text, "Well.");
  EXPECT_EQ(dataset.manifest_hash.size(), 64u);
}

TEST_F(WordsAlone, AreRefusedWhereTheModelLooks) {
  for (const bool allow_missing : {false, true}) {
    const Error error = expect_error(
        ErrorKind::data, [&] { load_dataset(read_manifest(path()), "cache", {}, allow_missing); }, "clip 'a' has no video");
    EXPECT_THAT(error.place(), HasSubstr("line 1"));
    EXPECT_THAT(error.next_step(), HasSubstr("model.visual.enabled=false"));
  }
}

}  // namespace
}  // namespace microemo::data
