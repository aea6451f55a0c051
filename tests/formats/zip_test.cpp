#include "microemo/formats/zip.h"

#include <functional>

#include "formats/support.h"
#include "microemo/base/json.h"

namespace microemo::formats {
namespace {

using test::expect_error;

class Zip : public testing::Test {
 protected:
  std::filesystem::path golden(const std::string& name) const { return test::data_folder() / "formats" / name; }

  void expect_holds_the_golden_contents(const std::filesystem::path& path) const {
    const ZipFile zip(path);
    const Json expected = read_json(golden("expected.json")).at("zip");
    ASSERT_EQ(zip.entries().size(), expected.size());
    for (const auto& [name, content] : expected.items()) EXPECT_EQ(zip.read(name), content.get<std::string>()) << name;
  }

  /// An archive with one entry "a" ("aaaa…", 100 bytes) whose bytes are then changed.
  std::filesystem::path changed(bool deflate, const std::function<void(std::string&)>& change) const {
    const auto path = folder_.path() / "x.zip";
    write_zip(path, {{"a", content_, deflate}});
    std::string bytes = read_file(path);
    change(bytes);
    return test::write(path, bytes);
  }

  const std::string content_ = std::string(100, 'a');
  TemporaryFolder folder_;
};

void overwrite(std::string& bytes, size_t at, const std::string& by) { bytes.replace(at, by.size(), by); }

/// Where the table's record of the only entry begins.
size_t table(const std::string& bytes) { return bytes.rfind("PK\1\2"); }
size_t end_record(const std::string& bytes) { return bytes.rfind("PK\5\6"); }

TEST_F(Zip, ReadsStoredAndDeflatedEntriesOfPython) { expect_holds_the_golden_contents(golden("plain.zip")); }

TEST_F(Zip, ReadsAnArchiveWrittenIntoAPipe) { expect_holds_the_golden_contents(golden("streamed.zip")); }

TEST_F(Zip, ReadsZip64) { expect_holds_the_golden_contents(golden("zip64.zip")); }

TEST_F(Zip, ReadsWhatItWrites) {
  const auto path = folder_.path() / "x.zip";
  write_zip(path, {{"stored", content_, false}, {"deflated", content_, true}, {"none", "", true}});
  const ZipFile zip(path);
  EXPECT_EQ(zip.read("stored"), content_);
  EXPECT_EQ(zip.read("deflated"), content_);
  EXPECT_EQ(zip.read("none"), "");
  EXPECT_LT(zip.find("deflated").packed_size, content_.size());
}

TEST_F(Zip, WritesTheSameBytesEachTime) {
  write_zip(folder_.path() / "a", {{"x", content_, true}});
  write_zip(folder_.path() / "b", {{"x", content_, true}});
  EXPECT_EQ(read_file(folder_.path() / "a"), read_file(folder_.path() / "b"));
}

TEST_F(Zip, AStoredEntryCanBeViewedInPlace) {
  const ZipFile zip(golden("plain.zip"));
  const auto view = zip.view(zip.find("folder/stored.txt"));
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(view.data()), view.size()), "stored\n");
}

TEST_F(Zip, ADeflatedEntryCannotBeViewed) {
  const ZipFile zip(golden("plain.zip"));
  expect_error(
      ErrorKind::data, [&] { zip.view(zip.find("deflated.txt")); }, "is deflated", "plain.zip");
}

TEST_F(Zip, AnUnknownEntryListsTheNearest) {
  const ZipFile zip(golden("plain.zip"));
  expect_error(
      ErrorKind::data, [&] { zip.find("defalted.txt"); }, "no entry 'defalted.txt'", "nearest", "'deflated.txt'");
}

TEST_F(Zip, RefusesAMissingFile) {
  expect_error(
      ErrorKind::data, [&] { ZipFile(folder_.path() / "absent.zip"); }, "No such file", "absent.zip");
}

TEST_F(Zip, RefusesAnEmptyFile) {
  expect_error(
      ErrorKind::data, [&] { ZipFile(test::write(folder_.path() / "empty", "")); }, "no zip archive");
}

TEST_F(Zip, RefusesAFileOfText) {
  expect_error(
      ErrorKind::data, [&] { ZipFile(test::write(folder_.path() / "text.zip", std::string(1000, 'x'))); }, "no zip archive",
      "text.zip");
}

TEST_F(Zip, RefusesATruncatedArchive) {
  const auto path = changed(false, [](std::string& bytes) { bytes.pop_back(); });
  expect_error(
      ErrorKind::data, [&] { ZipFile{path}; }, "its end is missing");
}

TEST_F(Zip, RefusesAWrongChecksum) {
  const auto path = changed(false, [](std::string& bytes) { overwrite(bytes, bytes.rfind("aaaa"), "b"); });
  expect_error(
      ErrorKind::data, [&] { ZipFile(path).read("a"); }, "entry 'a' has another checksum");
}

TEST_F(Zip, RefusesADamagedDeflateStream) {
  const auto path = changed(true, [](std::string& bytes) { overwrite(bytes, 31, "\xff\xff"); });
  expect_error(
      ErrorKind::data, [&] { ZipFile(path).read("a"); }, "entry 'a' does not unpack to its 100 bytes");
}

TEST_F(Zip, RefusesAnEntryThatIsLargerThanItClaims) {
  const auto path = changed(true, [](std::string& bytes) { overwrite(bytes, table(bytes) + 24, std::string("\x63\0\0\0", 4)); });
  expect_error(
      ErrorKind::data, [&] { ZipFile(path).read("a"); }, "does not unpack to its 99 bytes");
}

TEST_F(Zip, RefusesAnEntryThatIsSmallerThanItClaims) {
  const auto path = changed(true, [](std::string& bytes) { overwrite(bytes, table(bytes) + 24, std::string("\x65\0\0\0", 4)); });
  expect_error(
      ErrorKind::data, [&] { ZipFile(path).read("a"); }, "does not unpack to its 101 bytes");
}

TEST_F(Zip, RefusesASizeThatDeflateCannotReach) {
  const auto path = changed(true, [](std::string& bytes) { overwrite(bytes, table(bytes) + 24, std::string("\0\0\0\x10", 4)); });
  expect_error(
      ErrorKind::data, [&] { ZipFile{path}; }, "claims 268435456 bytes from", "cannot reach");
}

TEST_F(Zip, RefusesAnEntryOverTheLimit) {
  const auto path = changed(true, [](std::string&) {});
  expect_error(
      ErrorKind::data, [&] { ZipFile(path, {.entry_bytes = 99}); }, "unpacks to 100 bytes; at most 99");
}

TEST_F(Zip, RefusesMoreEntriesThanTheLimit) {
  expect_error(
      ErrorKind::data, [&] { ZipFile(golden("plain.zip"), {.entries = 3}); }, "claims 4 entries; at most 3");
}

TEST_F(Zip, RefusesAStoredEntryWithTwoSizes) {
  const auto path = changed(false, [](std::string& bytes) { overwrite(bytes, table(bytes) + 20, std::string("\x63\0\0\0", 4)); });
  expect_error(
      ErrorKind::data, [&] { ZipFile{path}; }, "stored entry 'a' has two sizes");
}

TEST_F(Zip, RefusesAnEntryBehindTheEndOfTheFile) {
  const auto path = changed(false, [](std::string& bytes) { overwrite(bytes, table(bytes) + 42, std::string("\0\0\x01\0", 4)); });
  expect_error(
      ErrorKind::data, [&] { ZipFile{path}; }, "entry 'a' leaves the file");
}

TEST_F(Zip, RefusesAnEntryThatIsNotWhereTheTableSays) {
  const auto path = changed(false, [](std::string& bytes) { overwrite(bytes, table(bytes) + 42, "\1"); });
  expect_error(
      ErrorKind::data, [&] { ZipFile(path).read("a"); }, "entry 'a' is not where the table says");
}

TEST_F(Zip, RefusesATableBehindTheEndOfTheFile) {
  const auto path = changed(false, [](std::string& bytes) { overwrite(bytes, end_record(bytes) + 16, "\xff\xff"); });
  expect_error(
      ErrorKind::data, [&] { ZipFile{path}; }, "points to byte 65535");
}

TEST_F(Zip, RefusesATableWithMoreEntriesThanItHolds) {
  const auto path = changed(false, [](std::string& bytes) { overwrite(bytes, end_record(bytes) + 10, "\2"); });
  expect_error(
      ErrorKind::data, [&] { ZipFile{path}; }, "table of entries is damaged");
}

TEST_F(Zip, RefusesAnEncryptedEntry) {
  const auto path = changed(false, [](std::string& bytes) { overwrite(bytes, table(bytes) + 8, "\1"); });
  expect_error(
      ErrorKind::data, [&] { ZipFile{path}; }, "entry 'a' is encrypted");
}

TEST_F(Zip, RefusesAnotherPackingMethod) {
  const auto path = changed(false, [](std::string& bytes) { overwrite(bytes, table(bytes) + 10, "\x0e"); });
  expect_error(
      ErrorKind::data, [&] { ZipFile{path}; }, "packed with method 14");
}

TEST_F(Zip, RefusesAnEntryThatStandsTwice) {
  const auto path = folder_.path() / "x.zip";
  write_zip(path, {{"a1", "x", false}, {"a2", "x", false}});
  std::string bytes = read_file(path);
  overwrite(bytes, bytes.rfind("a2"), "a1");
  test::write(path, bytes);
  expect_error(
      ErrorKind::data, [&] { ZipFile{path}; }, "entry 'a1' stands twice");
}

TEST_F(Zip, RefusesToWriteANameTwice) {
  expect_error(
      ErrorKind::internal,
      [&] {
        write_zip(folder_.path() / "x", {{"a", "", false}, {"a", "", false}});
      },
      "'a' cannot name");
}

TEST_F(Zip, EveryByteThatIsMissingIsNoticed) {
  const std::string whole = read_file(golden("plain.zip"));
  for (size_t length = 0; length < whole.size(); ++length) {
    const auto path = test::write(folder_.path() / "cut.zip", std::string_view(whole).substr(0, length));
    EXPECT_THROW(ZipFile{path}, Error) << length;
    std::filesystem::remove(path);
  }
}

}  // namespace
}  // namespace microemo::formats
