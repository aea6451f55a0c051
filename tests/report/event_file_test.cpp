#include "microemo/report/event_file.h"

#include <limits>

#include <gtest/gtest.h>

#include "microemo/base/files.h"
#include "support/errors.h"

namespace microemo::report {
namespace {

namespace fs = std::filesystem;

TEST(EventFile, HasTheRecordsOfTensorBoardsOwnWriter) {
  const std::string records = version_record(1700000000.5) + session_record(1700000000.5, 300) +
                              scalar_record(1700000001.25, 301, {{"loss", 1.25}, {"learning_rate", 3e-5}, {"größe", -7.5}}) +
                              scalar_record(1700000002.0, int64_t{1} << 40, {{"loss", std::numeric_limits<double>::quiet_NaN()}});
  EXPECT_EQ(records, read_file(MICROEMO_SOURCE_DIR "/tests/data/report/events.bin"));
}

TEST(EventFile, IsWrittenLineByLine) {
  const TemporaryFolder folder;
  EventFile file(folder.path() / "tensorboard", 7);
  const fs::path path = fs::directory_iterator(folder.path() / "tensorboard")->path();
  EXPECT_EQ(path.filename().string().rfind("events.out.tfevents.", 0), 0u);
  const auto before = fs::file_size(path);
  file.write(8, {{"loss", 2}});
  EXPECT_EQ(fs::file_size(path), before + scalar_record(1700000000, 8, {{"loss", 2}}).size());
}

TEST(EventFile, SaysWhereItCannotBeWritten) {
  const TemporaryFolder folder;
  write_file_atomic(folder.path() / "tensorboard", "a file");
  test::expect_error(
      ErrorKind::environment, [&] { EventFile(folder.path() / "tensorboard", 0); }, "the event file cannot be written");
}

}  // namespace
}  // namespace microemo::report
