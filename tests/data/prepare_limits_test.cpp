// The limits of reading as options of prepare.
#include "media/clips.h"
#include "microemo/base/config.h"
#include "microemo/base/files.h"
#include "microemo/base/json.h"
#include "microemo/data/prepared.h"
#include "microemo/data/sample.h"
#include "support/errors.h"

namespace microemo::data {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using testing::HasSubstr;

class PrepareLimits : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    clips_ = new test::Clips;
    clips_->make("a.mp4");
  }
  static void TearDownTestSuite() { delete clips_; }

  static Clip clip() { return {.id = "a", .video = clips_->path("a.mp4"), .line = 1}; }
  static PrepareOptions within(const media::ReadLimits& limits) { return {.faces = false, .limits = limits}; }
  static void expect_refused(const media::ReadLimits& limits, const std::string& message) {
    expect_error(
        ErrorKind::data, [&] { prepare_clip(clip(), within(limits)); }, message);
  }
  fs::path cache() const { return folder_.path() / "cache"; }
  Manifest manifest() const { return {folder_.path() / "m.jsonl", "", {clip()}}; }

  static inline test::Clips* clips_ = nullptr;
  TemporaryFolder folder_;
};

TEST_F(PrepareLimits, HoldForPicturesSoundAndStreams) {
  expect_refused({.max_pixels = 160 * 120 - 1}, "over the limit max_pixels = 19199");
  expect_refused({.max_seconds = 1}, "longer than the limit max_seconds = 1");
  expect_refused({.max_streams = 1}, "max_streams = 1");
  EXPECT_NO_THROW(prepare_clip(clip(), within({.max_pixels = 40000, .max_seconds = 3, .max_streams = 2})));
}

TEST_F(PrepareLimits, HoldWhereTheSpeakersFaceIsChosenBySound) {
  Clip spoken = clip();
  spoken.utterances = {{.start_s = 0, .end_s = 1}};
  PrepareOptions options = within({.max_seconds = 1});
  options.faces = true;
  options.face_choice = FaceChoice::speaking;
  expect_error(
      ErrorKind::data, [&] { prepare_clip(spoken, options); }, "max_seconds = 1");
}

TEST_F(PrepareLimits, ChangeNoKeyOfTheCache) {
  const fs::path file = cache_file(cache(), clip(), within({}));
  EXPECT_EQ(file, cache_file(cache(), clip(), within({.max_pixels = 1, .max_seconds = 2, .stall_seconds = 3})));
  EXPECT_FALSE(taken_options(within({})).contains("limits"));
  EXPECT_TRUE(options_to_json(within({})).contains("limits"));
  PrepareOptions other = within({});
  other.frame_rate = 4;
  EXPECT_NE(file, cache_file(cache(), clip(), other));
}

TEST_F(PrepareLimits, SkipWhatIsOverOne) {
  const PrepareReport report =
      prepare_manifest(manifest(), cache(), within({.max_pixels = 100}), {.workers = 1, .max_skipped = 1.0});
  EXPECT_EQ(report.reasons, (std::map<std::string, int64_t>{{"over_limit", 1}}));
}

TEST_F(PrepareLimits, AnEntryThatIsThereStays) {
  prepare_manifest(manifest(), cache(), within({}), {.workers = 1});
  EXPECT_EQ(prepare_manifest(manifest(), cache(), within({.max_pixels = 100}), {.workers = 1}).already_there, 1);
}

TEST_F(PrepareLimits, AreNamedByTheCommandThatAMissingClipNeeds) {
  const Error error = expect_error(
      ErrorKind::data, [&] { load_dataset(manifest(), cache(), within({.max_pixels = 123}), false); },
      "not in the feature cache");
  EXPECT_THAT(error.next_step(), HasSubstr(" prepare.limits.max_pixels=123"));
  EXPECT_THAT(error.next_step(), testing::Not(HasSubstr("max_seconds")));
}

struct Section {
  PrepareOptions prepare;
};
template <class Visitor>
void describe(Visitor& option, Section& o) {
  option("prepare", o.prepare, "What is taken from a clip.");
}

TEST_F(PrepareLimits, AreKeysOfAConfigurationAndHaveBoundsOfTheirOwn) {
  Section section;
  load_config(section, {}, {"prepare.limits.max_pixels=77", "prepare.limits.probe_mb=0.5"});
  EXPECT_EQ(read_limits(section.prepare).max_pixels, 77);
  EXPECT_EQ(read_limits(section.prepare).probe_mb, 0.5);
  for (const std::string word : {"prepare.limits.max_pixels=0", "prepare.limits.stall_seconds=0", "prepare.limits.max_streams=-1",
                                 "prepare.limits.partial=true", "prepare.limits=1"}) {
    SCOPED_TRACE(word);
    EXPECT_THROW(load_config(section, {}, {word}), Error);
  }
}

}  // namespace
}  // namespace microemo::data
