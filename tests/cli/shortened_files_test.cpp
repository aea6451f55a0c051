#include "microemo/cli/shortened_files.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <filesystem>
#include <fstream>

#include "microemo/base/error.h"
#include "microemo/base/files.h"
#include "microemo/formats/mapped_file.h"

namespace microemo::cli {
namespace {

/// Maps a file of two pages, cuts it to one and reads the second.
void read_behind_the_end(const std::filesystem::path& path) {
  end_with_message_when_a_mapped_file_is_shortened();
  std::ofstream(path) << std::string(8192, 'x');
  const formats::MappedFile file(path, ErrorKind::checkpoint);
  std::filesystem::resize_file(path, 4096);
  volatile const std::byte* second_page = file.bytes().data() + 4096;
  [[maybe_unused]] const std::byte read = *second_page;
}

TEST(ShortenedFiles, EndWithAMessageThatNamesThem) {
  const TemporaryFolder folder;
  EXPECT_EXIT(read_behind_the_end(folder.path() / "weights"), testing::ExitedWithCode(exit_code(ErrorKind::checkpoint)),
              "became shorter while it was read(.|\n)*where  .*weights");
}

TEST(ShortenedFiles, OtherCausesOfTheSignalEndAsBefore) {
  EXPECT_EXIT(
      {
        end_with_message_when_a_mapped_file_is_shortened();
        raise(SIGBUS);
        raise(SIGBUS);
      },
      testing::KilledBySignal(SIGBUS), "");
}

TEST(ShortenedFiles, AMappingIsForgottenWithItsFile) {
  const TemporaryFolder folder;
  std::ofstream(folder.path() / "x") << "abc";
  const void* address = nullptr;
  {
    const formats::MappedFile file(folder.path() / "x", ErrorKind::checkpoint);
    address = file.bytes().data();
    EXPECT_EQ(formats::mapped_file_at(address), (folder.path() / "x").string());
  }
  EXPECT_EQ(formats::mapped_file_at(address), nullptr);
}

}  // namespace
}  // namespace microemo::cli
