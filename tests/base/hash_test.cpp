#include "microemo/base/hash.h"

#include <gtest/gtest.h>

#include "microemo/base/files.h"
#include "support/command.h"
#include "support/errors.h"

namespace microemo {
namespace {

// FIPS 180-4's example vectors.
TEST(Hash, EqualsThePublishedExamples) {
  EXPECT_EQ(sha256(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Hash, EqualsSha256sumForAFileOfSeveralPieces) {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "a";
  std::string bytes;
  for (int i = 0; i < 3000001; ++i) bytes += static_cast<char>(i * 7 % 256);
  write_file_atomic(path, bytes);
  EXPECT_EQ(sha256_file(path), test::run_command({"sha256sum", path.string()}).standard_output.substr(0, 64));
  EXPECT_EQ(sha256_file(path), sha256(bytes));
}

TEST(Hash, RefusesAMissingFile) {
  test::expect_error(
      ErrorKind::data, [] { sha256_file("/nowhere/a"); }, "/nowhere/a");
}

TEST(Hash, RefusesAFolder) {
  const TemporaryFolder folder;
  test::expect_error(
      ErrorKind::data, [&] { sha256_file(folder.path()); }, folder.path().string());
}

}  // namespace
}  // namespace microemo
