#include <filesystem>

#include "microemo/base/files.h"
#include "microemo/base/json.h"
#include "microemo/base/lock.h"
#include "microemo/checkpoint/folder.h"
#include "support/command.h"
#include "support/disk.h"
#include "support/errors.h"
#include "train/prepared_set.h"

namespace microemo {
namespace {

namespace fs = std::filesystem;
using test::CommandResult;

/// A prepared set, made once for all tests of this file.
const fs::path& prepared() {
  static const TemporaryFolder folder;
  static const test::PreparedSet set(folder.path());
  return set.folder;
}

class TrainCommand : public testing::Test {
 protected:
  CommandResult train(std::vector<std::string> words) {
    words.insert(words.begin(), {MICROEMO_BINARY, "train"});
    return test::run_command(words,
                             {.standard_input = {}, .environment = {{"OMP_NUM_THREADS", "1"}}, .folder = {}, .timeout_s = 300});
  }
  CommandResult start(const fs::path& run, std::vector<std::string> words = {}) {
    words.insert(words.begin(), {(prepared() / "train.json").string(), "--out", run.string()});
    return train(words);
  }
  CommandResult resume(const fs::path& run, std::vector<std::string> words = {}) {
    words.insert(words.begin(), {"--resume", run.string()});
    return train(words);
  }

  /// Starts a run, waits until `ready`, and sends it a signal. Returns its exit code as run_command does.
  template <class Ready>
  int interrupt(const fs::path& run, const std::vector<std::string>& words, int signal, Ready ready) {
    std::vector<std::string> all = {MICROEMO_BINARY, "train",      (prepared() / "train.json").string(),
                                    "--out",         run.string(), "--quiet"};
    all.insert(all.end(), words.begin(), words.end());
    return test::interrupt_command(all, signal, ready);
  }
  static bool has_lines(const fs::path& run, size_t count) {
    if (!fs::exists(run / "metrics.jsonl")) return false;
    const std::string text = read_file(run / "metrics.jsonl");
    return static_cast<size_t>(std::count(text.begin(), text.end(), '\n')) >= count;
  }

  static std::vector<Json> curve(const fs::path& run) {
    std::vector<Json> lines;
    read_jsonl(run / "metrics.jsonl", [&](const Json& value, int64_t) {
      lines.push_back({value.at("step"), value.at("loss"), value.at("grad_norm"), value.at("lr")});
    });
    return lines;
  }
  void expect_same(const fs::path& a, const fs::path& b) {
    const auto last = checkpoint::step_folder(a, 12), other = checkpoint::step_folder(b, 12);
    EXPECT_EQ(read_file(last / "model.safetensors"), read_file(other / "model.safetensors"));
    EXPECT_EQ(read_file(last / "optimizer.safetensors"), read_file(other / "optimizer.safetensors"));
    EXPECT_EQ(curve(a), curve(b));
  }

  TemporaryFolder folder_;
  const fs::path whole_ = folder_.path() / "whole", run_ = folder_.path() / "run";
};

TEST_F(TrainCommand, RunsToTheEnd) {
  const CommandResult result = start(whole_, {"train.valid_every=6"});
  EXPECT_EQ(result.exit_code, 0) << result.standard_error;
  EXPECT_THAT(result.standard_output, testing::HasSubstr("finished 12 steps"));
  EXPECT_THAT(result.standard_error, testing::AllOf(testing::HasSubstr("trainable"), testing::HasSubstr("GFLOP"),
                                                    testing::HasSubstr("1 threads (train.threads)")));
  EXPECT_EQ(curve(whole_).size(), 12u);
  EXPECT_EQ(read_json(whole_ / "outcome.json").at("outcome"), "finished");
  EXPECT_TRUE(fs::exists(whole_ / "config.yaml") && fs::exists(whole_ / "log.jsonl"));
}

TEST_F(TrainCommand, StopsAndResumesBitForBit) {
  EXPECT_EQ(start(whole_).exit_code, 0);
  const CommandResult stopped = start(run_, {"--stop-after-steps", "5"});
  EXPECT_EQ(stopped.exit_code, exit_code_resumable);
  EXPECT_THAT(stopped.standard_output, testing::HasSubstr("microemo train --resume " + run_.string()));
  EXPECT_EQ(resume(run_).exit_code, 0);
  expect_same(whole_, run_);
}

TEST_F(TrainCommand, KilledAtAnyTimeResumesBitForBit) {
  EXPECT_EQ(start(whole_).exit_code, 0);
  for (const size_t lines : {3, 5, 8}) {
    const fs::path run = folder_.path() / std::to_string(lines);
    EXPECT_EQ(interrupt(run, {"train.save_every=2"}, SIGKILL, [&] { return has_lines(run, lines); }), 128 + SIGKILL);
    // A kill may come before the first checkpoint has its name: then there is nothing to lose, and the run starts.
    const CommandResult result = start(run, {"train.save_every=2", "--continue"});
    EXPECT_EQ(result.exit_code, 0) << result.standard_error;
    expect_same(whole_, run);
  }
}

/// A file that grows over the limit ends the process in the middle of the write.
TEST_F(TrainCommand, KilledWhileACheckpointIsWrittenUsesTheOneBefore) {
  EXPECT_EQ(start(whole_).exit_code, 0);
  EXPECT_EQ(start(run_, {"train.save_every=2", "--stop-after-steps", "2"}).exit_code, exit_code_resumable);
  const fs::path partial = run_ / "checkpoints" / "step-00000004.partial";
  const uintmax_t whole_bytes = fs::file_size(checkpoint::step_folder(run_, 2) / "model.safetensors");
  const uintmax_t limit_kib = std::max(fs::file_size(run_ / "tokenizer.model"), fs::file_size(run_ / "config.yaml")) / 1024 + 8;
  ASSERT_GT(whole_bytes, 1024 * limit_kib);
  const CommandResult killed =
      test::run_command({"bash", "-c", R"(ulimit -c 0; ulimit -f "$0"; exec "$@")", std::to_string(limit_kib), MICROEMO_BINARY,
                         "train", "--resume", run_.string()});
  EXPECT_EQ(killed.exit_code, 128 + SIGXFSZ) << killed.standard_error;
  EXPECT_TRUE(fs::exists(partial) && !fs::is_empty(partial));
  EXPECT_FALSE(fs::exists(partial / "manifest.json"));
  EXPECT_EQ(checkpoint::find_latest(run_)->step, 2);
  EXPECT_EQ(resume(run_).exit_code, 0);
  expect_same(whole_, run_);
  EXPECT_FALSE(fs::exists(partial));
}

TEST_F(TrainCommand, ASignalSavesAndStops) {
  EXPECT_EQ(start(whole_).exit_code, 0);
  for (const int signal : {SIGTERM, SIGINT}) {
    const fs::path run = folder_.path() / std::to_string(signal);
    EXPECT_EQ(interrupt(run, {}, signal, [&] { return has_lines(run, 2); }), exit_code_resumable);
    EXPECT_EQ(read_json(run / "outcome.json").at("reason"), "a signal");
    EXPECT_EQ(resume(run).exit_code, 0);
    expect_same(whole_, run);
  }
}

TEST_F(TrainCommand, AFlippedByteInTheLastCheckpointTakesTheOneBefore) {
  EXPECT_EQ(start(whole_).exit_code, 0);
  EXPECT_EQ(start(run_, {"train.save_every=3", "--stop-after-steps", "8"}).exit_code, exit_code_resumable);
  const fs::path file = checkpoint::step_folder(run_, 8) / "model.safetensors";
  std::string bytes = read_file(file);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  write_file_atomic(file, bytes);
  const CommandResult result = resume(run_);
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.standard_error, testing::HasSubstr("step-00000008 is damaged and not used"));
  expect_same(whole_, run_);
}

TEST_F(TrainCommand, ContinueStartsOrGoesOn) {
  EXPECT_EQ(start(run_, {"--continue", "--stop-after-steps", "5"}).exit_code, exit_code_resumable);
  EXPECT_EQ(start(run_, {"--continue"}).exit_code, 0);
  EXPECT_EQ(curve(run_).size(), 12u);
}

TEST_F(TrainCommand, ResumeAutoStartsOrGoesOn) {
  EXPECT_EQ(start(run_, {"--resume", "auto", "--stop-after-steps", "5"}).exit_code, exit_code_resumable);
  EXPECT_EQ(start(run_, {"--resume", "auto"}).exit_code, 0);
  EXPECT_EQ(curve(run_).size(), 12u);
}

TEST_F(TrainCommand, ADryRunWritesNothing) {
  const CommandResult result = start(run_, {"--dry-run"});
  EXPECT_EQ(result.exit_code, 0) << result.standard_error;
  EXPECT_THAT(result.standard_output, testing::AllOf(testing::HasSubstr("GFLOP a clip"), testing::HasSubstr("MB of memory"),
                                                     testing::HasSubstr("kept MB"), testing::HasSubstr("\ndecoder  ")));
  EXPECT_FALSE(fs::exists(run_));
}

TEST_F(TrainCommand, ADryRunWithoutAManifestTakesMadeUpClips) {
  const CommandResult result = start(run_, {"--dry-run", "train.manifest=", "train.cache="});
  EXPECT_EQ(result.exit_code, 0) << result.standard_error;
  EXPECT_THAT(result.standard_output, testing::AllOf(testing::HasSubstr("made-up clips"),
                                                     testing::HasSubstr("train.manifest is not set: the clips are")));
  EXPECT_FALSE(fs::exists(run_));
}

TEST_F(TrainCommand, ADryRunNeedsNoFolder) {
  const std::string config = (prepared() / "train.json").string();
  const CommandResult result = train({config, "--dry-run"});
  EXPECT_EQ(result.exit_code, 0) << result.standard_error;
  EXPECT_THAT(train({config}).standard_error, testing::HasSubstr("the run has no folder"));
}

TEST_F(TrainCommand, HelpShowsOptionsDefaultsAndExamples) {
  const CommandResult result = train({"--help"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.standard_output, testing::AllOf(testing::HasSubstr("train.learning_rate"), testing::HasSubstr("0.0015"),
                                                     testing::HasSubstr("--resume"), testing::HasSubstr("Examples")));
}

class TrainRefuses : public TrainCommand {
 protected:
  void expect_refused(const CommandResult& result, ErrorKind kind, const std::string& part) {
    EXPECT_EQ(result.exit_code, exit_code(kind)) << result.standard_error;
    EXPECT_THAT(result.standard_error, testing::HasSubstr(part));
    EXPECT_THAT(result.standard_error, testing::HasSubstr("  next  "));
  }
};

TEST_F(TrainRefuses, ARunFolderThatHoldsARun) {
  start(run_, {"--stop-after-steps", "1"});
  expect_refused(start(run_), ErrorKind::config, "holds a run with checkpoints");
}

TEST_F(TrainRefuses, ARunToResumeBesideAnotherFolder) {
  expect_refused(start(run_, {"--resume", "elsewhere"}), ErrorKind::config, "--resume elsewhere names the run folder, and --out");
  expect_refused(train({"--resume", "auto"}), ErrorKind::config, "the run has no folder");
}

TEST_F(TrainRefuses, ABestMetricThatNoValidationGives) {
  expect_refused(start(run_, {"train.valid_every=2", "train.keep_best=true", "train.best_metric=valid_movement_acuracy"}),
                 ErrorKind::config, "no validation gives 'valid_movement_acuracy'; did you mean 'valid_movement_accuracy'?");
}

TEST_F(TrainRefuses, AFolderInWhichAnotherProcessTrains) {
  const std::string who = fmt::format("process {} is at work in this folder", ::getpid());
  {
    const FolderLock lock(run_);
    expect_refused(start(run_), ErrorKind::environment, who);
    expect_refused(start(run_, {"--continue"}), ErrorKind::environment, who);
  }
  EXPECT_FALSE(fs::exists(run_));
  start(run_, {"--stop-after-steps", "1"});
  const FolderLock lock(run_);
  expect_refused(resume(run_), ErrorKind::environment, who);
}

TEST_F(TrainRefuses, AKeyWithoutEffect) {
  expect_refused(start(run_, {"model.audio.enabled=false", "model.audio.queries=1"}), ErrorKind::config,
                 "'model.audio.queries' has no effect unless model.audio.enabled is true");
}

TEST_F(TrainRefuses, FaceWindowsThatLeaveGaps) {
  expect_refused(start(run_, {"model.local.window_s=0.01"}), ErrorKind::config, "face windows of 0.01 s leave gaps");
}

TEST_F(TrainRefuses, AModelThatDoesNotFitIntoTheMemory) {
  const std::string command =
      fmt::format("ulimit -v 6000000; exec {} --quiet train {} model.decoder.width=65536 model.decoder.hidden=262144 --out {}",
                  MICROEMO_BINARY, (prepared() / "train.json").string(), run_.string());
  const CommandResult result = test::run_command({"bash", "-c", command});
  expect_refused(result, ErrorKind::environment, "out of memory while building the model");
  EXPECT_THAT(result.standard_error, testing::AllOf(testing::HasSubstr("model.*"), testing::Not(testing::HasSubstr("frame #"))));
  EXPECT_FALSE(fs::exists(run_));
}

TEST_F(TrainRefuses, AFolderOnADiskThatCannotBeWritten) {
  MICROEMO_SKIP_WITHOUT_DISKS();
  const auto [result, files] =
      test::run_on_disk("ro", {MICROEMO_BINARY, "train", (prepared() / "train.json").string(), "--out", "run"});
  expect_refused(result, ErrorKind::environment, "Read-only file system");
}

TEST_F(TrainRefuses, AnUnknownKey) { expect_refused(start(run_, {"train.stesp=3"}), ErrorKind::config, "train.steps"); }

TEST_F(TrainRefuses, NoRunFolder) {
  expect_refused(train({(prepared() / "train.json").string()}), ErrorKind::config, "the run has no folder");
}

TEST_F(TrainRefuses, NoTokenizer) {
  expect_refused(start(run_, {"train.tokenizer="}), ErrorKind::config, "train.tokenizer is not set");
}

TEST_F(TrainRefuses, ToResumeWhereNothingIs) { expect_refused(resume(run_), ErrorKind::checkpoint, "there is no such folder"); }

TEST_F(TrainRefuses, ToResumeACheckpointInPlaceOfItsRun) {
  start(run_, {"--stop-after-steps", "1"});
  expect_refused(resume(checkpoint::step_folder(run_, 1)), ErrorKind::config, "a run folder is needed");
}

TEST_F(TrainRefuses, ToResumeWithAnotherConfiguration) {
  start(run_, {"--stop-after-steps", "1"});
  expect_refused(resume(run_, {"train.learning_rate=0.1"}), ErrorKind::config, "train.learning_rate was 0.0015 and is 0.1");
  EXPECT_EQ(resume(run_, {"train.learning_rate=0.1", "--allow-change"}).exit_code, 0);
}

TEST_F(TrainRefuses, ToResumeWithAnotherNumberOfThreads) {
  start(run_, {"--stop-after-steps", "1"});
  expect_refused(resume(run_, {"train.threads=2"}), ErrorKind::config, "threads was 1 and is 2");
}

TEST_F(TrainRefuses, ToResumeWithAnotherManifest) {
  TemporaryFolder other;
  test::PreparedSet set(other.path());
  start(run_, {"--stop-after-steps", "1"});
  set.clips.pop_back();
  set.write_clips();
  expect_refused(resume(run_, {"train.manifest=" + (other.path() / "manifest.jsonl").string(),
                               "train.cache=" + (other.path() / "cache").string()}),
                 ErrorKind::config, "manifest was");
}

TEST_F(TrainRefuses, AFolderThatCannotBeWritten) {
  write_file_atomic(folder_.path() / "file", "");
  expect_refused(start(folder_.path() / "file" / "run"), ErrorKind::environment, "file");
}

TEST_F(TrainRefuses, AFullDisk) {
  const std::string command = fmt::format("ulimit -f 20; trap '' XFSZ; exec {} train {} --out {}", MICROEMO_BINARY,
                                          (prepared() / "train.json").string(), run_.string());
  expect_refused(test::run_command({"bash", "-c", command}), ErrorKind::environment, "cannot be written");
  EXPECT_TRUE(checkpoint::list_checkpoints(run_).empty());
}

TEST_F(TrainRefuses, ADurationWithoutAUnit) {
  for (const char* duration : {"23", "h", "-1h", "0s", "1h30m", "nanh", "5 s"})
    expect_refused(start(run_, {"--stop-after", duration}), ErrorKind::config, "is no duration");
}

TEST_F(TrainRefuses, AWrongWord) {
  const CommandResult result = start(run_, {"--stop-after-steps", "-1"});
  expect_refused(result, ErrorKind::config, "error (config): --stop-after-steps");
  EXPECT_THAT(result.standard_error, testing::HasSubstr("see microemo train --help"));
}

}  // namespace
}  // namespace microemo
