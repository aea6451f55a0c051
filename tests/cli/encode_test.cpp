// microemo train with train.encoder_cache, and --encode.
#include <filesystem>

#include "infer/tiny_model.h"
#include "microemo/base/files.h"
#include "microemo/base/json.h"
#include "microemo/checkpoint/folder.h"
#include "microemo/data/prepared.h"
#include "support/command.h"
#include "support/disk.h"
#include "support/errors.h"
#include "train/prepared_set.h"

namespace microemo {
namespace {

namespace fs = std::filesystem;
using test::CommandResult;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class EncodeCommand : public testing::Test {
 protected:
  /// Words for the prepared set with a ViT that is not trained.
  std::vector<std::string> words(std::vector<std::string> more) const {
    std::vector<std::string> all = {(folder_.path() / "train.json").string(), "train.frozen=[\"visual_encoder.*\"]",
                                    "train.encoder_cache=" + cache_.string()};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  static CommandResult run(std::vector<std::string> all, std::vector<std::string> before = {"train"}) {
    all.insert(all.begin(), before.begin(), before.end());
    all.insert(all.begin(), MICROEMO_BINARY);
    return test::run_command(all,
                             {.standard_input = {}, .environment = {{"OMP_NUM_THREADS", "1"}}, .folder = {}, .timeout_s = 300});
  }
  CommandResult train(const std::vector<std::string>& more) const { return run(words(more)); }
  CommandResult resume(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> all = {"--resume", run_.string()};
    all.insert(all.end(), more.begin(), more.end());
    return run(all);
  }
  static size_t files_in(const fs::path& folder) {
    size_t count = 0;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) count += entry.is_regular_file();
    return count;
  }
  static void expect_refused(const CommandResult& result, ErrorKind kind, const std::string& message) {
    EXPECT_EQ(result.exit_code, exit_code(kind)) << result.standard_error;
    EXPECT_THAT(result.standard_error, HasSubstr(message));
  }
  static std::string weights(const fs::path& run) { return read_file(checkpoint::step_folder(run, 12) / "model.safetensors"); }

  TemporaryFolder folder_;
  const test::PreparedSet set_{folder_.path()};
  const fs::path cache_ = folder_.path() / "encoded", run_ = folder_.path() / "run";
};

TEST_F(EncodeCommand, FillsTheCacheAndEnds) {
  const CommandResult result = train({"--encode", "train.valid_every=6"});
  EXPECT_EQ(result.exit_code, 0) << result.standard_error;
  EXPECT_THAT(result.standard_output, HasSubstr("finished: 8 entries of 8 clips were encoded into " + cache_.string()));
  EXPECT_THAT(result.standard_error, AllOf(HasSubstr("encode frames  100%  8/8 clips"), HasSubstr("0 of 8 clips were there")));
  EXPECT_EQ(files_in(cache_), 8u);
  const CommandResult again = train({"--encode", "train.valid_every=6"});
  EXPECT_THAT(again.standard_output, HasSubstr("finished: 0 entries of 8 clips were encoded"));
  EXPECT_THAT(again.standard_error, AllOf(HasSubstr("8 of 8 clips were there"), Not(HasSubstr("encode frames "))));
}

TEST_F(EncodeCommand, TrainsFromTheCacheAsWithoutIt) {
  EXPECT_EQ(train({"--encode"}).exit_code, 0);
  const CommandResult result = train({"--out", run_.string()});
  EXPECT_EQ(result.exit_code, 0) << result.standard_error;
  EXPECT_THAT(result.standard_error,
              AllOf(HasSubstr("6 of 6 clips were there"), HasSubstr("in " + cache_.string() + "/frames-")));
  const fs::path other = folder_.path() / "other";
  EXPECT_EQ(train({"--out", other.string(), "train.encoder_cache="}).exit_code, 0);
  std::vector<double> here, there;
  for (const auto& [run, losses] : {std::pair(run_, &here), {other, &there}})
    read_jsonl(run / "metrics.jsonl", [&, to = losses](const Json& line, int64_t) { to->push_back(line.at("loss")); });
  ASSERT_EQ(here.size(), 12u);
  ASSERT_EQ(there.size(), 12u);
  for (size_t i = 0; i < 12; ++i) EXPECT_NEAR(here[i], there[i], 1e-5 * there[i]) << i;
}

TEST_F(EncodeCommand, ARunGoesOnBitForBitWithACacheThatLiesElsewhereOrIsGone) {
  const fs::path whole = folder_.path() / "whole", moved = folder_.path() / "moved";
  EXPECT_EQ(train({"--out", whole.string()}).exit_code, 0);
  EXPECT_EQ(train({"--out", run_.string(), "--stop-after-steps", "4"}).exit_code, exit_code_resumable);
  fs::rename(cache_, moved);
  EXPECT_EQ(resume({"train.encoder_cache=" + moved.string(), "--stop-after-steps", "4"}).exit_code, exit_code_resumable);
  fs::remove_all(moved);
  EXPECT_EQ(resume().exit_code, 0);
  EXPECT_EQ(weights(run_), weights(whole));
}

TEST_F(EncodeCommand, ARunDoesNotGoOnWithoutItsCacheUnlessAllowed) {
  EXPECT_EQ(train({"--out", run_.string(), "--stop-after-steps", "4"}).exit_code, exit_code_resumable);
  expect_refused(resume({"train.encoder_cache="}), ErrorKind::config, "train.encoder_cache was");
  EXPECT_EQ(resume({"train.encoder_cache=", "--allow-change"}).exit_code, 0);
}

TEST_F(EncodeCommand, ARunThatIsRefusedEncodesNothing) {
  EXPECT_EQ(train({"--out", run_.string(), "train.encoder_cache=", "--stop-after-steps", "1"}).exit_code, exit_code_resumable);
  expect_refused(train({"--out", run_.string()}), ErrorKind::config, "the run folder holds a run with checkpoints");
  expect_refused(resume({"train.encoder_cache=" + cache_.string()}), ErrorKind::config, "train.encoder_cache was");
  EXPECT_FALSE(fs::exists(cache_));
}

TEST_F(EncodeCommand, TimeThatIsOverEndsTheEncodingToo) {
  for (const std::vector<std::string>& how : {std::vector<std::string>{"--encode"}, {"--out", run_.string()}}) {
    std::vector<std::string> all = how;
    all.insert(all.end(), {"--stop-after", "0.001s"});
    const CommandResult result = train(all);
    EXPECT_EQ(result.exit_code, exit_code_resumable) << result.standard_error;
    EXPECT_THAT(result.standard_output, HasSubstr("stopped, the same command goes on: 0 entries of 6 clips were encoded"));
  }
  const Json outcome = read_json(run_ / "outcome.json");
  EXPECT_EQ(outcome.at("outcome"), "stopped");
  EXPECT_EQ(outcome.at("step"), 0);
  EXPECT_THAT(outcome.at("reason").get<std::string>(), HasSubstr("before all clips were encoded"));
  EXPECT_FALSE(fs::exists(cache_));
  EXPECT_EQ(train({"--out", run_.string(), "--stop-after", "1h"}).exit_code, 0);
}

TEST_F(EncodeCommand, ARunThatFailsToEncodeSaysSo) {
  write_file_atomic(cache_, "no folder");
  expect_refused(train({"--out", run_.string()}), ErrorKind::environment, cache_.string());
  EXPECT_EQ(read_json(run_ / "outcome.json").at("outcome"), "failed");
  fs::remove(cache_);
  EXPECT_EQ(train({"--out", run_.string()}).exit_code, 0);
  EXPECT_EQ(read_json(run_ / "outcome.json").at("outcome"), "finished");
}

TEST_F(EncodeCommand, CountsTheEntriesOfTwoEncoders) {
  test::TinyModel tiny;
  data::PrepareOptions with_pieces = tiny.prepare;
  with_pieces.sound = data::SoundInput::samples;
  for (const data::Clip& clip : set_.clips) {
    data::PreparedClip prepared = data::read_prepared(data::cache_file(folder_.path() / "cache", clip, tiny.prepare));
    prepared.pieces_K = test::random_bytes({1, 32000}, at::kChar, 1).to(at::kFloat) / 128;
    prepared.piece_times_K = test::times(1, 0.5);
    data::write_prepared(data::cache_file(folder_.path() / "cache", clip, with_pieces), prepared);
  }
  Json settings = read_json(folder_.path() / "train.json");
  settings["prepare"] = options_to_json(with_pieces);
  settings["model"]["audio"] = {{"style", "hubert"}, {"width", 16}, {"layers", 3}, {"heads", 2}, {"wave_channels", 8}};
  write_json(folder_.path() / "train.json", settings);
  const CommandResult result = train({"--encode", "train.frozen=[\"visual_encoder.*\", \"audio_encoder.*\"]"});
  EXPECT_THAT(result.standard_output, HasSubstr("finished: 12 entries of 6 clips were encoded into")) << result.standard_error;
  EXPECT_EQ(files_in(cache_), 12u);
}

TEST_F(EncodeCommand, TheCurrentFolderIsNoRunToGoOnWith) {
  const CommandResult other = train({"--out", run_.string(), "train.seed=1", "train.encoder_cache=", "--stop-after-steps", "1"});
  EXPECT_EQ(other.exit_code, exit_code_resumable) << other.standard_error;
  EXPECT_EQ(train({"--encode", "train.seed=2"}).exit_code, 0);
  std::vector<std::string> all = words({"--encode", "train.seed=2", "--resume", "auto"});
  all.insert(all.begin(), {MICROEMO_BINARY, "train"});
  const CommandResult again = test::run_command(all, {.standard_input = {}, .environment = {}, .folder = run_, .timeout_s = 300});
  EXPECT_THAT(again.standard_error, HasSubstr("6 of 6 clips were there"));
}

TEST_F(EncodeCommand, RanksShareTheClips) {
  const CommandResult encoded = run(words({"--encode"}), {"launch", "-n", "2", "train"});
  EXPECT_EQ(encoded.exit_code, 0) << encoded.standard_error;
  EXPECT_THAT(encoded.standard_output, HasSubstr("finished: 6 entries of 6 clips were encoded"));
  EXPECT_EQ(files_in(cache_), 6u);
  const CommandResult trained = run(words({"--out", run_.string()}), {"launch", "-n", "2", "train"});
  EXPECT_EQ(trained.exit_code, 0) << trained.standard_error;
  EXPECT_THAT(trained.standard_error, HasSubstr("6 of 6 clips were there"));
}

TEST_F(EncodeCommand, ADryRunEncodesNothing) {
  const CommandResult result = train({"--dry-run"});
  EXPECT_EQ(result.exit_code, 0) << result.standard_error;
  EXPECT_THAT(result.standard_error, HasSubstr("frozen encoders run in this step, and not in the steps of the run"));
  EXPECT_FALSE(fs::exists(cache_));
  expect_refused(train({"--dry-run", "--encode"}), ErrorKind::config, "--encode");
}

TEST_F(EncodeCommand, RefusesWhatHasNoEffect) {
  expect_refused(train({"--encode", "train.frozen=[\"audio_encoder.*\"]"}), ErrorKind::config, "of a public encoder");
  expect_refused(train({"--encode", "train.encoder_cache="}), ErrorKind::config, "there is no folder to encode the clips into");
  for (const char* how : {"--dry-run", "--encode"}) {
    expect_refused(train({how, "train.frozen=[]"}), ErrorKind::config, "no encoder of frames or of pieces of sound is frozen");
    expect_refused(train({how, "train.augment.flip=true"}), ErrorKind::config, "changed at random");
  }
  EXPECT_FALSE(fs::exists(cache_));
}

TEST_F(EncodeCommand, AFullDiskLosesNothingThatIsThere) {
  EXPECT_EQ(train({"--encode"}).exit_code, 0);
  size_t removed = 0;
  for (const auto& entry : fs::recursive_directory_iterator(cache_))
    if (entry.is_regular_file() && removed++ < 2) fs::resize_file(entry.path(), 0);
  std::string command = fmt::format("ulimit -f 0; trap '' XFSZ; exec {} train", MICROEMO_BINARY);
  for (const std::string& word : words({"--encode"})) command += " '" + word + "'";
  expect_refused(test::run_command({"bash", "-c", command}), ErrorKind::environment, "cannot be written");
  const CommandResult result = train({"--encode"});
  EXPECT_THAT(result.standard_output, HasSubstr("finished: 2 entries of 6 clips were encoded"));
  EXPECT_THAT(result.standard_error, HasSubstr("it is encoded again"));
}

TEST_F(EncodeCommand, ADiskThatIsTooSmallIsWarnedOfBehindTheFirstClip) {
  MICROEMO_SKIP_WITHOUT_DISKS();
  std::vector<std::string> all = words({"--encode", "train.encoder_cache=enc"});
  all.insert(all.begin(), {MICROEMO_BINARY, "train"});
  const auto [small, files] = test::run_on_disk("size=8k", all);
  EXPECT_THAT(small.standard_error, AllOf(HasSubstr("5 clips of about"), HasSubstr("GB left"), HasSubstr("No space left")));
  EXPECT_EQ(small.exit_code, exit_code(ErrorKind::environment));
  EXPECT_EQ(files.size(), 2u) << "those that fit are whole, and nothing is left of the third";
  EXPECT_THAT(test::run_on_disk("size=800k", all).command.standard_error, Not(HasSubstr("GB left")));
}

TEST_F(EncodeCommand, VerifySaysWhoMakesDamagedEntriesAnew) {
  EXPECT_EQ(train({"--encode"}).exit_code, 0);
  for (const auto& entry : fs::recursive_directory_iterator(cache_))
    if (entry.is_regular_file()) fs::resize_file(entry.path(), 20);
  const CommandResult found = run({"verify", cache_.string()}, {"cache"}),
                      mended = run({"verify", cache_.string(), "--fix"}, {"cache"});
  EXPECT_EQ(found.exit_code, exit_code(ErrorKind::data));
  EXPECT_THAT(found.standard_output, HasSubstr("or microemo train for those of train.encoder_cache"));
  EXPECT_THAT(mended.standard_output, HasSubstr("6 damaged and removed"));
  EXPECT_THAT(mended.standard_output, HasSubstr("microemo train those of train.encoder_cache"));
  EXPECT_THAT(train({"--encode"}).standard_output, HasSubstr("finished: 6 entries of 6 clips were encoded"));
}

TEST_F(EncodeCommand, AClipWithoutItsPreparedEntryIsNamed) {
  fs::remove_all(folder_.path() / "cache");
  expect_refused(train({"--encode"}), ErrorKind::data, "is not in the feature cache");
}

}  // namespace
}  // namespace microemo
