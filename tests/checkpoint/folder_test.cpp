#include "microemo/checkpoint/folder.h"

#include <signal.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <unistd.h>

#include "checkpoint/support.h"
#include "microemo/base/json.h"
#include "microemo/base/log.h"
#include "support/file_size_limit.h"

namespace microemo::checkpoint {
namespace {

namespace fs = std::filesystem;
using test::expect_error;

class Folder : public testing::Test {
 protected:
  fs::path save(int64_t step, const std::string& content = "weights") {
    PendingFolder pending(step_folder(run_, step));
    write_file_atomic(pending.path() / "model.safetensors", content);
    write_json(pending.path() / "state.json", {{"step", step}});
    pending.commit();
    return step_folder(run_, step);
  }
  std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(run_ / "checkpoints")) found.push_back(entry.path().filename());
    std::sort(found.begin(), found.end());
    return found;
  }

  TemporaryFolder folder_;
  const fs::path run_ = folder_.path() / "run";
};

TEST_F(Folder, HoldsFilesOfOtherProcessesByWhatTheyToldOfThem) {
  PendingFolder pending(step_folder(run_, 5));
  write_file_atomic(pending.path() / "own", "own");
  write_file_atomic(pending.path() / "other", "other");
  const FileFacts told = synced_facts(pending.path() / "other");
  EXPECT_EQ(told.bytes, 5u);
  pending.commit({{"other", told}});
  EXPECT_EQ(damage_of(step_folder(run_, 5)), "");
  EXPECT_EQ(files_in_manifest(step_folder(run_, 5)), (std::vector<std::string>{"other", "own"}));
}

TEST_F(Folder, AFileOfAnotherProcessThatIsNotSeenHereIsAnError) {
  for (const auto& [content, bytes] : {std::pair{"", 5}, {"cut", 5}}) {
    PendingFolder pending(step_folder(run_, 5));
    if (*content != '\0') write_file_atomic(pending.path() / "other", content);
    const Error error = expect_error(
        ErrorKind::environment,
        [&, size = bytes] {
          pending.commit({{"other", {uint64_t(size), "hash"}}});
        },
        "other of another rank is not to be seen from rank 0 as it was written");
    EXPECT_EQ(error.next_step(), "all ranks have to see the same run folder");
  }
  EXPECT_TRUE(list_checkpoints(run_).empty());
}

TEST_F(Folder, AHashThatAnotherProcessToldWronglyIsDamage) {
  PendingFolder pending(step_folder(run_, 5));
  write_file_atomic(pending.path() / "other", "other");
  pending.commit({{"other", {5, "of something else"}}});
  EXPECT_EQ(damage_of(step_folder(run_, 5)), "the content of other has changed");
}

TEST_F(Folder, ACommittedFolderIsWhole) {
  EXPECT_EQ(damage_of(save(5)), "");
  EXPECT_EQ(read_file(step_folder(run_, 5) / "model.safetensors"), "weights");
}

TEST_F(Folder, IsNotThereBeforeTheCommit) {
  PendingFolder pending(step_folder(run_, 5));
  write_file_atomic(pending.path() / "model.safetensors", "weights");
  EXPECT_FALSE(fs::exists(step_folder(run_, 5)));
  EXPECT_TRUE(list_checkpoints(run_).empty());
}

TEST_F(Folder, LeavesNothingWithoutACommit) {
  { PendingFolder pending(step_folder(run_, 5)); }
  EXPECT_TRUE(names().empty());
}

TEST_F(Folder, ReplacesAFolderOfItsName) {
  save(5, "old");
  save(5, "new");
  EXPECT_EQ(read_file(step_folder(run_, 5) / "model.safetensors"), "new");
  EXPECT_EQ(names(), (std::vector<std::string>{"step-00000005"}));
}

TEST_F(Folder, ARunThatWasCutWhileACheckpointWasReplacedHasTheOldOne) {
  fs::rename(save(5, "old"), step_folder(run_, 5).string() + ".replaced");
  fs::create_directories(step_folder(run_, 5).string() + ".partial");
  prune_checkpoints(run_, 1);
  const auto latest = find_latest(run_);
  ASSERT_TRUE(latest);
  EXPECT_EQ(latest->step, 5);
  EXPECT_EQ(read_file(latest->path / "model.safetensors"), "old");
  save(5, "new");
  EXPECT_EQ(names(), (std::vector<std::string>{"step-00000005"}));
  EXPECT_EQ(read_file(step_folder(run_, 5) / "model.safetensors"), "new");
}

TEST_F(Folder, ARunThatWasCutAfterACheckpointWasReplacedHasTheNewOne) {
  fs::rename(save(5, "old"), step_folder(run_, 5).string() + ".replaced");
  fs::create_directories(folder_.path() / "aside");
  fs::rename(step_folder(run_, 5).string() + ".replaced", folder_.path() / "aside" / "old");
  save(5, "new");
  fs::rename(folder_.path() / "aside" / "old", step_folder(run_, 5).string() + ".replaced");
  EXPECT_EQ(list_checkpoints(run_).size(), 1u);
  EXPECT_EQ(read_file(find_latest(run_)->path / "model.safetensors"), "new");
  prune_checkpoints(run_, 1);
  EXPECT_EQ(names(), (std::vector<std::string>{"step-00000005"}));
}

TEST_F(Folder, TheOldOneIsRemovedOnlyWhenTheNewOneIsInItsPlace) {
  save(5, "old");
  const int watch = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  ASSERT_GE(::inotify_add_watch(watch, (run_ / "checkpoints").c_str(), IN_MOVED_TO | IN_DELETE), 0);
  save(5, "new");
  std::vector<std::string> seen;
  alignas(inotify_event) char buffer[4096];
  const ssize_t got = ::read(watch, buffer, sizeof buffer);
  for (ssize_t at = 0; at < got;) {
    const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
    seen.push_back(std::string((event->mask & IN_DELETE) != 0 ? "removed " : "named ") + event->name);
    at += ssize_t(sizeof(inotify_event)) + event->len;
  }
  ::close(watch);
  EXPECT_EQ(seen,
            (std::vector<std::string>{"named step-00000005.replaced", "named step-00000005", "removed step-00000005.replaced"}));
}

TEST_F(Folder, AFlippedByteIsSeen) {
  const fs::path path = save(5);
  test::flip_byte(path / "model.safetensors", 3);
  EXPECT_EQ(damage_of(path), "the content of model.safetensors has changed");
}

TEST_F(Folder, ATruncatedFileIsSeen) {
  const fs::path path = save(5);
  fs::resize_file(path / "model.safetensors", 2);
  EXPECT_EQ(damage_of(path), "model.safetensors has 2 bytes instead of 7");
}

TEST_F(Folder, AMissingFileIsSeen) {
  const fs::path path = save(5);
  fs::remove(path / "state.json");
  EXPECT_EQ(damage_of(path), "state.json is missing");
}

TEST_F(Folder, AMissingManifestIsSeen) {
  const fs::path path = save(5);
  fs::remove(path / "manifest.json");
  EXPECT_EQ(damage_of(path), "manifest.json is missing");
}

TEST_F(Folder, ABrokenManifestIsSeen) {
  const fs::path path = save(5);
  std::ofstream(path / "manifest.json") << "{\"format\": 1, \"fi";
  EXPECT_THAT(damage_of(path), testing::HasSubstr("it cannot be read"));
}

TEST_F(Folder, AManifestWithoutFilesIsSeen) {
  const fs::path path = save(5);
  std::ofstream(path / "manifest.json") << "{\"format\": 1}";
  EXPECT_EQ(damage_of(path), "manifest.json does not say which files there are");
}

TEST_F(Folder, ANewerFormatIsRefused) {
  const fs::path path = save(5);
  std::ofstream(path / "manifest.json") << "{\"format\": 2, \"files\": {}}";
  EXPECT_EQ(damage_of(path), "it has format 2, and this program reads up to 1");
}

TEST_F(Folder, TheLatestIsTheHighestStep) {
  save(500);
  save(1000);
  save(20);
  EXPECT_EQ(find_latest(run_)->step, 1000);
}

TEST_F(Folder, ThereIsNoLatestInAnEmptyRun) { EXPECT_FALSE(find_latest(run_)); }

TEST_F(Folder, ADamagedLatestIsPassedOverWithAWarning) {
  save(5);
  test::flip_byte(save(10) / "model.safetensors", 0);
  open_log(LogLevel::warning, folder_.path() / "log.jsonl");
  const auto latest = find_latest(run_);
  close_log();
  EXPECT_EQ(latest->step, 5);
  EXPECT_THAT(read_file(folder_.path() / "log.jsonl"), testing::HasSubstr("step-00000010 is damaged and not used"));
}

TEST_F(Folder, ARemainderOfAnInterruptedWriteIsNoCheckpoint) {
  save(5);
  fs::create_directories(run_ / "checkpoints" / "step-00000010.partial");
  EXPECT_EQ(find_latest(run_)->step, 5);
}

TEST_F(Folder, ARemainderIsWrittenOver) {
  fs::create_directories(run_ / "checkpoints" / "step-00000010.partial");
  std::ofstream(run_ / "checkpoints" / "step-00000010.partial" / "junk") << "junk";
  EXPECT_FALSE(fs::exists(save(10) / "junk"));
}

TEST_F(Folder, PruningKeepsTheNewestAndRemovesRemainders) {
  for (const int64_t step : {1, 2, 3, 4}) save(step);
  fs::create_directories(run_ / "checkpoints" / "step-00000009.partial");
  prune_checkpoints(run_, 2);
  EXPECT_EQ(names(), (std::vector<std::string>{"step-00000003", "step-00000004"}));
}

/// Two damaged ones lie ahead of a run that went on from the last whole one.
TEST_F(Folder, PruningDoesNotCountWhatLiesAheadOfTheRun) {
  for (const int64_t step : {4, 6, 7}) save(step);
  for (const int64_t step : {6, 7}) std::ofstream(step_folder(run_, step) / "state.json", std::ios::app) << "x";
  save(5);
  prune_checkpoints(run_, 1, -1, 5);
  EXPECT_EQ(names(), (std::vector<std::string>{"step-00000005", "step-00000006", "step-00000007"}));
  EXPECT_EQ(find_latest(run_)->step, 5);
}

TEST_F(Folder, HoldsFilesInFolders) {
  PendingFolder pending(step_folder(run_, 1));
  write_file_atomic(pending.path() / "state.json", "{}");
  fs::create_directories(pending.path() / "tokenizer");
  write_file_atomic(pending.path() / "tokenizer" / "tokenizer.json", "words");
  pending.commit();
  const fs::path saved = step_folder(run_, 1);
  EXPECT_EQ(files_in_manifest(saved), (std::vector<std::string>{"state.json", "tokenizer/tokenizer.json"}));
  EXPECT_TRUE(is_whole(saved));
  std::ofstream(saved / "tokenizer" / "tokenizer.json") << "sword";
  EXPECT_EQ(damage_of(saved), "the content of tokenizer/tokenizer.json has changed");
  fs::remove_all(saved / "tokenizer");
  EXPECT_EQ(damage_of(saved), "tokenizer/tokenizer.json is missing");
}

TEST_F(Folder, PruningWithZeroKeepsAll) {
  for (const int64_t step : {1, 2, 3}) save(step);
  prune_checkpoints(run_, 0);
  EXPECT_EQ(names().size(), 3u);
}

TEST_F(Folder, AFullDiskLeavesThePreviousAndNothingHalfWritten) {
  save(5);
  {
    const test::FileSizeLimit limit(1000);
    expect_error(
        ErrorKind::environment, [&] { save(10, std::string(5000, 'x')); }, "model.safetensors");
  }
  EXPECT_EQ(names(), (std::vector<std::string>{"step-00000005"}));
  EXPECT_TRUE(is_whole(step_folder(run_, 5)));
}

TEST_F(Folder, AFolderThatCannotBeMadeIsAnErrorOfTheEnvironment) {
  std::ofstream(run_) << "a file";
  expect_error(
      ErrorKind::environment, [&] { save(5); }, "the checkpoint cannot be written");
}

TEST_F(Folder, FindsTheLatestOfARunOrTheCheckpointItself) {
  const fs::path first = save(5), second = save(10);
  EXPECT_EQ(find_checkpoint(run_), second);
  EXPECT_EQ(find_checkpoint(first), first);
}

TEST_F(Folder, RefusesAPathThatDoesNotExist) {
  expect_error(
      ErrorKind::checkpoint, [&] { find_checkpoint(run_); }, "there is no such folder");
}

TEST_F(Folder, RefusesARunWithoutACheckpoint) {
  fs::create_directories(run_);
  expect_error(
      ErrorKind::checkpoint, [&] { find_checkpoint(run_); }, "no whole checkpoint");
}

TEST_F(Folder, RefusesADamagedCheckpointThatWasNamed) {
  save(5);
  const fs::path path = save(10);
  test::flip_byte(path / "state.json", 2);
  expect_error(
      ErrorKind::checkpoint, [&] { find_checkpoint(path); }, "the checkpoint is damaged");
}

}  // namespace
}  // namespace microemo::checkpoint
