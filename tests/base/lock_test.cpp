#include "microemo/base/lock.h"

#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <memory>

#include "microemo/base/files.h"
#include "support/errors.h"

namespace microemo {
namespace {

namespace fs = std::filesystem;
using test::expect_error;

struct Lock : ::testing::Test {
  TemporaryFolder place;
  fs::path folder = place.path() / "run";
};

TEST_F(Lock, RefusesASecondOneAndNamesTheProcessThatHoldsIt) {
  const FolderLock lock(folder);
  const Error error = expect_error(
      ErrorKind::environment, [&] { FolderLock second(folder); }, fmt::format("process {} is at work", ::getpid()));
  EXPECT_EQ(error.place(), folder.string());
}

TEST_F(Lock, IsFreeAgainWhenItsHolderIsGone) {
  { const FolderLock lock(folder); }
  EXPECT_NO_THROW(FolderLock(fs::path(folder)));
}

TEST_F(Lock, IsFreeAgainWhenItsHolderWasKilled) {
  const pid_t child = ::fork();
  if (child == 0) {
    const FolderLock lock(folder);
    ::kill(::getpid(), SIGKILL);
  }
  ::waitpid(child, nullptr, 0);
  EXPECT_TRUE(fs::exists(folder / "lock"));
  EXPECT_NO_THROW(FolderLock(fs::path(folder)));
}

TEST_F(Lock, LeavesNothingOfAFolderThatItMade) {
  { const FolderLock lock(folder); }
  EXPECT_FALSE(fs::exists(folder));
}

TEST_F(Lock, LeavesAFolderThatWasThereOrHoldsSomething) {
  fs::create_directories(folder);
  { const FolderLock lock(folder); }
  EXPECT_TRUE(fs::exists(folder));
  {
    const FolderLock lock(place.path() / "full");
    write_file_atomic(place.path() / "full" / "file", "");
  }
  EXPECT_TRUE(fs::exists(place.path() / "full" / "file"));
}

TEST_F(Lock, RefusesAFolderUnderAFile) {
  write_file_atomic(folder, "");
  expect_error(
      ErrorKind::environment, [&] { FolderLock lock(folder / "inner"); }, "inner");
}

}  // namespace
}  // namespace microemo
