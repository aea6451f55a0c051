#include <set>

#include <gtest/gtest.h>

#include "microemo/base/files.h"
#include "microemo/base/hash.h"
#include "microemo/base/json.h"
#include "microemo/checkpoint/folder.h"
#include "support/command.h"
#include "support/recorded_disk.h"
#include "train/prepared_set.h"

namespace microemo::cli {
namespace {

namespace fs = std::filesystem;
using test::DiskImage;
using test::FileChange;

/// In memory where there is such a place: thousands of small folders are written.
struct InMemory {
  InMemory() {
    if (::access("/dev/shm", W_OK) == 0) ::setenv("TMPDIR", "/dev/shm", 1);
  }
};

/// A run of some steps that saves after every second one, with every change of its folder written down.
class PowerLoss : private InMemory, public testing::Test {
 protected:
  PowerLoss() {
    const auto result =
        test::run_command({MICROEMO_BINARY, "train", (folder_.path() / "train.json").string(), "--out", run_.string(),
                           "train.steps=4", "train.save_every=2", "train.keep_last=1", "train.valid_every=0"},
                          {.environment = {{"LD_PRELOAD", FILE_RECORDER},
                                           {"RECORD_FILES_UNDER", run_.string()},
                                           {"RECORD_FILES_LOG", (folder_.path() / "log").string()}}});
    EXPECT_EQ(result.exit_code, 0) << result.standard_error;
    changes_ = test::read_changes(folder_.path() / "log");
    std::erase_if(changes_, [](const FileChange& change) { return change.path.find("/tensorboard") != std::string::npos; });
  }

  /// The step of the newest checkpoint whose name was synced before `end`, or 0.
  int64_t promised(size_t end) const {
    int64_t step = 0;
    for (size_t i = 0; i < end; ++i) {
      const FileChange& change = changes_[i];
      const size_t name = change.target.rfind("/step-");
      if (change.kind == "rename" && name != std::string::npos && change.target.find('.', name) == std::string::npos &&
          test::is_synced(changes_, i, end))
        step = std::max(step, int64_t{std::stoll(change.target.substr(name + 6))});
    }
    return step;
  }

  /// What was found after the power came back has to be a checkpoint that the whole run made, no older than what was promised,
  /// with a line of the metrics for each of its steps.
  void expect_sound(const DiskImage& disk, size_t end, const std::string& what) {
    if (!seen_.insert(fmt::format("{} {}", promised(end), disk.key())).second) return;
    const TemporaryFolder place;
    disk.write_to(run_.string(), place.path() / "run");
    const auto latest = checkpoint::find_latest(place.path() / "run");
    const int64_t step = latest ? latest->step : 0;
    ASSERT_GE(step, promised(end)) << what << " after change " << end;
    if (step == 0) return;
    weights_.insert({step, sha256_file(latest->path / "model.safetensors")});
    std::ifstream metrics(place.path() / "run" / "metrics.jsonl");
    int64_t lines = 0;
    for (std::string line; lines < step && std::getline(metrics, line);)
      ASSERT_EQ(Json::parse(line).at("step"), ++lines) << what << " after change " << end;
    ASSERT_EQ(lines, step) << what << " after change " << end;
  }

  TemporaryFolder folder_;
  test::PreparedSet set_{folder_.path()};
  fs::path run_ = folder_.path() / "run";
  std::vector<FileChange> changes_;
  std::set<std::pair<int64_t, std::string>> weights_;  ///< that were found
  std::set<std::string> seen_;                         ///< states of the disk that were looked at
};

TEST_F(PowerLoss, AtAnyMomentLeavesTheLastCheckpointWhole) {
  ASSERT_GT(changes_.size(), 60u);
  EXPECT_EQ(promised(changes_.size()), 4);
  DiskImage whole;
  for (size_t end = 0; end <= changes_.size(); ++end) {
    DiskImage synced, names_alone;
    for (size_t i = 0; i < end; ++i) {
      const bool sure = test::is_synced(changes_, i, end);
      const bool is_content = changes_[i].kind == "write" || changes_[i].kind == "truncate";
      if (sure) synced.apply(changes_[i]);
      if (sure || !is_content) names_alone.apply(changes_[i]);
    }
    expect_sound(whole, end, "all is kept");
    expect_sound(synced, end, "what was not synced is lost");
    expect_sound(names_alone, end, "contents that were not synced are lost");
    if (HasFatalFailure()) return;
    if (end < changes_.size()) whole.apply(changes_[end]);
  }
  EXPECT_EQ(weights_.size(), 2u);  // of each step one content alone
}

TEST_F(PowerLoss, WithAnySingleChangeLostThatWasNotSynced) {
  for (size_t end = 1; end <= changes_.size(); ++end) {
    for (size_t lost = end > 40 ? end - 40 : 0; lost < end; ++lost) {
      if (changes_[lost].kind == "sync" || test::is_synced(changes_, lost, end)) continue;
      DiskImage disk;
      for (size_t i = 0; i < end; ++i)
        if (i != lost) disk.apply(changes_[i]);
      expect_sound(disk, end, "lost is " + changes_[lost].kind + " " + changes_[lost].path);
      if (HasFatalFailure()) return;
    }
  }
  EXPECT_EQ(weights_.size(), 2u);
}

}  // namespace
}  // namespace microemo::cli
