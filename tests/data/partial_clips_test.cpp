// Clips whose files break off: refused, or taken in part and marked.
#include <ATen/ATen.h>

#include "media/clips.h"
#include "microemo/base/files.h"
#include "microemo/base/json.h"
#include "microemo/data/check.h"
#include "microemo/data/prepared.h"
#include "microemo/data/prepared_cache.h"
#include "microemo/data/sample.h"
#include "support/errors.h"

namespace microemo::data {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using testing::HasSubstr;

constexpr PrepareOptions refused{.faces = false};
constexpr PrepareOptions allowed{.faces = false, .partial = Partial::allow};

class PartialClips : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    clips_ = new test::Clips;
    whole_ = clips_->make("whole.mkv");
    cut_ = clips_->cut(whole_, "cut.mkv", 0.6);
  }
  static void TearDownTestSuite() { delete clips_; }

  fs::path cache() const { return folder_.path() / "cache"; }
  static Clip whole(double end_s = 0.5) { return {.id = "whole", .video = whole_, .utterances = said_until(end_s), .line = 1}; }
  static Clip cut(double end_s = 0.5) { return {.id = "cut", .video = cut_, .utterances = said_until(end_s), .line = 2}; }
  static std::vector<Utterance> said_until(double end_s) {
    return {{.start_s = 0.1, .end_s = end_s, .text = "Hm.", .labels = {"calm"}}};
  }
  Manifest manifest(std::vector<Clip> clips) const { return {folder_.path() / "m.jsonl", "", std::move(clips)}; }
  PrepareReport prepare(std::vector<Clip> clips, const PrepareOptions& options, PrepareRun run = {}) const {
    run.workers = 1;
    return prepare_manifest(manifest(std::move(clips)), cache(), options, run);
  }
  std::vector<Json> list(const std::string& name) const {
    std::vector<Json> lines;
    if (fs::exists(cache() / name)) read_jsonl(cache() / name, [&](const Json& line, int64_t) { lines.push_back(line); });
    return lines;
  }

  static inline test::Clips* clips_ = nullptr;
  static inline fs::path whole_, cut_;
  TemporaryFolder folder_;
};

void expect_equal(const at::Tensor& one, const at::Tensor& other) {
  EXPECT_TRUE(at::equal(one, other)) << one.sizes() << " and " << other.sizes();
}

TEST_F(PartialClips, AreRefusedUnlessTheOptionAllowsThem) {
  const Error error = expect_error(
      ErrorKind::data, [&] { prepare_clip(cut(), refused); }, "truncated or damaged");
  EXPECT_THAT(error.next_step(), HasSubstr("prepare.partial=allow"));
  EXPECT_EQ(prepare_clip(cut(), allowed).id, "cut");
}

TEST_F(PartialClips, GiveWhatTheWholeClipGivesUpToTheCut) {
  const PreparedClip all = prepare_clip(whole(), refused), some = prepare_clip(cut(), allowed);
  ASSERT_TRUE(some.damage);
  EXPECT_FALSE(all.damage);
  const int64_t frames = some.frames_TCHW.size(0);
  ASSERT_GT(frames, 2);
  ASSERT_LT(frames, all.frames_TCHW.size(0));
  expect_equal(some.frames_TCHW, all.frames_TCHW.slice(0, 0, frames));
  expect_equal(some.frame_times_T, all.frame_times_T.slice(0, 0, frames));
  // The last windows reach to where the sound breaks off.
  const int64_t heard = some.mel_FM.size(0) - 12;
  ASSERT_GT(heard, 20);
  expect_equal(some.mel_FM.slice(0, 0, heard), all.mel_FM.slice(0, 0, heard));
  EXPECT_LT(some.duration_s, 1.8);
  EXPECT_LE(some.damage->until_s, some.duration_s);
  EXPECT_GT(some.damage->until_s, some.duration_s - 0.3);
}

TEST_F(PartialClips, UniformFramesAreThoseOfThePart) {
  PrepareOptions options = allowed;
  options.frame_rule = FrameRule::uniform;
  options.frame_count = 4;
  const PreparedClip some = prepare_clip(cut(), options);
  ASSERT_EQ(some.frames_TCHW.size(0), 4);
  EXPECT_NEAR(some.frame_times_T[2].item<double>(), double(some.source_frames / 2) / 25, 0.005);
}

TEST_F(PartialClips, FacesAreCutInASecondPassToo) {
  PrepareOptions options = allowed;
  options.faces = true;
  options.face_rate = 5;
  const PreparedClip once = prepare_clip(cut(), options), twice = prepare_clip(cut(), options, {.kept_frames = 1});
  EXPECT_GT(once.face_times_N.size(0), 3);
  expect_equal(once.faces_NCSS, twice.faces_NCSS);
  expect_equal(once.face_times_N, twice.face_times_N);
}

TEST_F(PartialClips, AWholeClipIsTheSameUnderBothPoliciesInEntriesOfTheirOwn) {
  EXPECT_NE(cache_file(cache(), whole(), refused), cache_file(cache(), whole(), allowed));
  prepare({whole()}, refused);
  prepare({whole()}, allowed);
  EXPECT_EQ(read_file(cache_file(cache(), whole(), refused)), read_file(cache_file(cache(), whole(), allowed)));
}

TEST_F(PartialClips, AnUtteranceBehindTheCutIsRefused) {
  const double until_s = prepare_clip(cut(), allowed).damage->until_s;
  EXPECT_NO_THROW(prepare_clip(cut(until_s), allowed));
  const Error error = expect_error(
      ErrorKind::data, [&] { prepare_clip(cut(until_s + 0.2), allowed); }, "where its file breaks off");
  EXPECT_THAT(error.place(), HasSubstr("cut.mkv"));
  prepare({cut(until_s + 0.2)}, allowed, {.max_skipped = 1.0});
  ASSERT_EQ(list("skipped.jsonl").size(), 1u);
  EXPECT_EQ(list("skipped.jsonl")[0]["reason"], "utterance_outside");
}

TEST_F(PartialClips, AnUtteranceBehindTheCutIsRefusedOfAnEntryThatIsThere) {
  const double until_s = prepare_clip(cut(), allowed).damage->until_s;
  prepare({cut()}, allowed);
  EXPECT_EQ(prepare({cut(until_s + 0.2)}, allowed, {.max_skipped = 1.0}).skipped, 1);
}

TEST_F(PartialClips, TheEntrySaysWhatIsMissing) {
  prepare({cut()}, allowed);
  const fs::path file = cache_file(cache(), cut(), allowed);
  const PreparedFacts facts = read_prepared_facts(file);
  const PreparedClip clip = read_prepared(file);
  ASSERT_TRUE(facts.damage && clip.damage);
  const PreparedClip made = prepare_clip(cut(), allowed);
  EXPECT_EQ(facts.damage->until_s, made.damage->until_s);
  EXPECT_EQ(facts.damage->reason, made.damage->reason);
  EXPECT_EQ(clip.damage->reason, made.damage->reason);
  EXPECT_THAT(facts.damage->reason, HasSubstr("the container announces 2."));
}

TEST_F(PartialClips, AreCountedAndListed) {
  const PrepareReport report = prepare({whole(), cut()}, allowed);
  EXPECT_EQ(report.done, 2);
  EXPECT_EQ(report.partial, 1);
  EXPECT_EQ(report.skipped, 0);
  ASSERT_EQ(list("partial.jsonl").size(), 1u);
  const Json line = list("partial.jsonl")[0];
  EXPECT_EQ(line["id"], "cut");
  EXPECT_EQ(line["line"], 2);
  EXPECT_EQ(line["video"], cut_.string());
  EXPECT_EQ(line["until_s"], read_prepared_facts(cache_file(cache(), cut(), allowed)).damage->until_s);
  EXPECT_THAT(line["reason"].get<std::string>(), HasSubstr("the container announces"));
}

TEST_F(PartialClips, ThatAreAlreadyThereAreListedAgain) {
  prepare({whole(), cut()}, allowed);
  fs::remove(cache() / "partial.jsonl");
  const PrepareReport report = prepare({whole(), cut()}, allowed);
  EXPECT_EQ(report.already_there, 2);
  EXPECT_EQ(report.partial, 1);
  EXPECT_EQ(list("partial.jsonl").size(), 1u);
}

TEST_F(PartialClips, LeaveTheListOnceTheyAreMendedOrRefused) {
  prepare({whole(), cut()}, allowed);
  prepare({whole(), cut()}, refused, {.max_skipped = 1.0});
  EXPECT_TRUE(list("partial.jsonl").empty());
  EXPECT_EQ(list("skipped.jsonl").size(), 1u);
  Clip mended = whole();
  mended.id = "cut", mended.line = 2;
  prepare({whole(), mended}, allowed);
  EXPECT_TRUE(list("partial.jsonl").empty());
  EXPECT_TRUE(list("skipped.jsonl").empty());
}

TEST_F(PartialClips, AreCountedByTheCheckOfTheCache) {
  prepare({whole(), cut()}, allowed);
  const CacheCheck check = verify_cache(cache(), false, 1);
  EXPECT_EQ(check.entries, 2);
  EXPECT_EQ(check.partial, 1);
  EXPECT_TRUE(check.damaged.empty());
}

TEST_F(PartialClips, TheListIsNoForeignFileOfTheCache) {
  prepare({cut()}, allowed);
  EXPECT_EQ(prune_cache(cache(), {manifest({cut()})}, {allowed}, true).foreign, 0);
}

TEST_F(PartialClips, AnEntryThatHidesHowFarItReachesIsDamaged) {
  PreparedClip clip = prepare_clip(cut(), allowed);
  const fs::path file = cache() / "entry.safetensors";
  fs::create_directories(cache());
  write_prepared(file, clip);
  std::string bytes = read_file(file);
  const size_t at = bytes.find("partial_until_s");
  ASSERT_NE(at, std::string::npos);
  bytes.replace(at, 15, "partial_xntil_s");
  write_file_atomic(file, bytes);
  expect_error(
      ErrorKind::data, [&] { read_prepared(file); }, "partial_until_s");
}

TEST_F(PartialClips, AreNamedByTheDatasetThatHoldsThem) {
  prepare({whole(), cut()}, allowed);
  EXPECT_EQ(load_dataset(manifest({whole(), cut()}), cache(), allowed, false).partial(), (std::vector<std::string>{"cut"}));
  EXPECT_TRUE(load_dataset(manifest({whole()}), cache(), allowed, false).partial().empty());
}

TEST_F(PartialClips, ARunThatRefusesThemDoesNotSeeTheirEntries) {
  prepare({cut()}, allowed);
  expect_error(
      ErrorKind::data, [&] { load_dataset(manifest({cut()}), cache(), refused, false); }, "not in the feature cache");
}

class CheckPartialClips : public PartialClips {
 protected:
  CheckReport check(const std::vector<Clip>& clips, Partial partial) const {
    write_manifest(folder_.path() / "m.jsonl", clips);
    return check_manifests({folder_.path() / "m.jsonl"}, 1, partial);
  }
};

TEST_F(CheckPartialClips, FindsThemWithoutDecoding) {
  const CheckReport report = check({whole(), cut()}, Partial::refuse);
  ASSERT_EQ(report.findings.size(), 1u) << to_json(report).dump(1);
  EXPECT_EQ(report.findings[0].code, "truncated");
  EXPECT_EQ(report.findings[0].id, "cut");
  EXPECT_EQ(report.errors(), 1);
  EXPECT_THAT(report.findings[0].next_step, HasSubstr("prepare.partial=allow"));
}

TEST_F(CheckPartialClips, AreWarningsWhereTheyAreAllowed) {
  const CheckReport report = check({whole(), cut()}, Partial::allow);
  EXPECT_EQ(report.errors(), 0);
  EXPECT_EQ(report.warnings(), 1);
}

TEST_F(CheckPartialClips, AnUtteranceBehindTheCutIsAnErrorAllTheSame) {
  const CheckReport report = check({whole(1.8), cut(1.8)}, Partial::allow);
  ASSERT_EQ(report.errors(), 1);
  const auto outside = std::ranges::find(report.findings, std::string("outside"), &Finding::code);
  ASSERT_NE(outside, report.findings.end());
  EXPECT_EQ(outside->id, "cut");
}

}  // namespace
}  // namespace microemo::data
