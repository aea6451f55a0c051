#include "microemo/base/files.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/errors.h"
#include "support/file_size_limit.h"

namespace microemo {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using ::testing::HasSubstr;

size_t entries_in(const fs::path& folder) {
  size_t count = 0;
  for ([[maybe_unused]] const fs::directory_entry& entry : fs::directory_iterator(folder)) ++count;
  return count;
}

class Files : public ::testing::Test {
 protected:
  fs::path path(const std::string& name) const { return folder_.path() / name; }
  TemporaryFolder folder_;
};

TEST_F(Files, ReadsBackWhatWasWritten) {
  std::string bytes;
  for (int i = 0; i < 300000; ++i) bytes += static_cast<char>(i % 251);
  write_file_atomic(path("a.bin"), bytes);
  EXPECT_EQ(read_file(path("a.bin")), bytes);
}

TEST_F(Files, ReadsAnEmptyFile) {
  write_file_atomic(path("empty"), "");
  EXPECT_EQ(read_file(path("empty")), "");
}

TEST_F(Files, ReadsAFileWhoseSizeIsNotKnownBefore) { EXPECT_THAT(read_file("/proc/self/status"), HasSubstr("Pid:")); }

TEST_F(Files, RefusesToReadAMissingFile) {
  const Error error = expect_error(
      ErrorKind::data, [&] { read_file(path("none.txt")); }, "there is no such file");
  EXPECT_EQ(error.place(), path("none.txt").string());
  EXPECT_FALSE(error.next_step().empty());
}

TEST_F(Files, RefusesToReadAFolder) {
  expect_error(
      ErrorKind::data, [&] { read_file(folder_.path()); }, "this is a folder");
}

TEST_F(Files, RefusesToReadBelowAFile) {
  write_file_atomic(path("a"), "x");
  expect_error(
      ErrorKind::data, [&] { read_file(path("a") / "b"); }, "cannot be read: Not a directory");
}

TEST_F(Files, ReplacesWhatWasThere) {
  write_file_atomic(path("a"), "old and long");
  write_file_atomic(path("a"), "new");
  EXPECT_EQ(read_file(path("a")), "new");
}

TEST_F(Files, MakesMissingFolders) {
  write_file_atomic(path("one/two/a"), "x");
  EXPECT_EQ(read_file(path("one/two/a")), "x");
}

TEST_F(Files, LeavesNothingButTheFile) {
  write_file_atomic(path("a"), "x");
  EXPECT_EQ(entries_in(folder_.path()), 1u);
}

TEST_F(Files, KeepsTheOldContentWhenAWriteFails) {
  write_file_atomic(path("a"), "old");
  {
    const test::FileSizeLimit limit(1000);
    const Error error = expect_error(
        ErrorKind::environment, [&] { write_file_atomic(path("a"), std::string(5000, 'x')); },
        "cannot be written: File too large");
    EXPECT_EQ(error.place(), path("a").string());
    EXPECT_THAT(error.next_step(), HasSubstr("free some space"));
  }
  EXPECT_EQ(read_file(path("a")), "old");
  EXPECT_EQ(entries_in(folder_.path()), 1u);
}

TEST_F(Files, RefusesToWriteOverAFolder) {
  fs::create_directories(path("a/b"));
  const Error error = expect_error(
      ErrorKind::environment, [&] { write_file_atomic(path("a"), "x"); }, "cannot be written");
  EXPECT_THAT(error.next_step(), HasSubstr("a folder has this name"));
  EXPECT_EQ(entries_in(folder_.path()), 1u);
}

TEST_F(Files, RefusesToWriteBelowAFile) {
  write_file_atomic(path("a"), "x");
  const Error error = expect_error(
      ErrorKind::environment, [&] { write_file_atomic(path("a") / "b", "x"); }, "cannot be made");
  EXPECT_THAT(error.next_step(), HasSubstr("is a file where a folder is needed"));
}

TEST_F(Files, RefusesToWriteWhereNothingMayBeWritten) {
  expect_error(
      ErrorKind::environment, [&] { write_file_atomic("/proc/microemo/a", "x"); }, "/proc/microemo");
}

TEST_F(Files, ShowsAPendingFileOnlyAfterItsCommit) {
  PendingFile pending(path("clip.mp4"));
  EXPECT_EQ(pending.temporary().extension(), ".mp4");
  std::ofstream(pending.temporary()) << "film";
  EXPECT_FALSE(fs::exists(path("clip.mp4")));
  pending.commit();
  EXPECT_EQ(read_file(path("clip.mp4")), "film");
  EXPECT_EQ(entries_in(folder_.path()), 1u);
}

TEST_F(Files, RemovesAPendingFileThatWasNotCommitted) {
  {
    PendingFile pending(path("clip.mp4"));
    std::ofstream(pending.temporary()) << "half a film";
  }
  EXPECT_EQ(entries_in(folder_.path()), 0u);
}

TEST_F(Files, RefusesToCommitAFileThatWasNeverWritten) {
  PendingFile pending(path("clip.mp4"));
  expect_error(
      ErrorKind::environment, [&] { pending.commit(); }, "No such file");
}

TEST_F(Files, GivesTwoWritersOfOneFileDifferentTemporaryNames) {
  const PendingFile first(path("a")), second(path("a"));
  EXPECT_NE(first.temporary(), second.temporary());
}

TEST_F(Files, AcceptsAndLeavesAWritableFolderEmpty) {
  ensure_writable_folder(path("new/folder"));
  EXPECT_EQ(entries_in(path("new/folder")), 0u);
}

TEST_F(Files, RefusesAFolderThatCannotBeWritten) {
  expect_error(
      ErrorKind::environment, [] { ensure_writable_folder("/proc/self"); }, "nothing can be written to this folder");
}

TEST_F(Files, RefusesAFileAsWritableFolder) {
  write_file_atomic(path("a"), "x");
  expect_error(
      ErrorKind::environment, [&] { ensure_writable_folder(path("a")); }, path("a").string());
}

TEST_F(Files, RefusesAFolderOnAFullDisk) {
  const test::FileSizeLimit limit(0);
  expect_error(
      ErrorKind::environment, [&] { ensure_writable_folder(folder_.path()); }, "cannot be written");
}

TEST(TemporaryFolders, AreRemovedWithTheirContent) {
  fs::path path;
  {
    const TemporaryFolder folder;
    path = folder.path();
    write_file_atomic(path / "deep/a", "x");
  }
  EXPECT_FALSE(fs::exists(path));
}

TEST(TemporaryFolders, AreTheirOwn) { EXPECT_NE(TemporaryFolder().path(), TemporaryFolder().path()); }

TEST(TemporaryFolders, NeedAFolderToLieIn) {
  const char* before = ::getenv("TMPDIR");
  const std::string kept = before == nullptr ? "" : before;
  ::setenv("TMPDIR", "/proc", 1);
  expect_error(
      ErrorKind::environment, [] { TemporaryFolder(); }, "no temporary folder");
  if (before == nullptr)
    ::unsetenv("TMPDIR");
  else
    ::setenv("TMPDIR", kept.c_str(), 1);
}

}  // namespace
}  // namespace microemo
