#include "microemo/formats/safetensors.h"

#include "formats/support.h"
#include "microemo/base/json.h"

namespace microemo::formats {
namespace {

using test::expect_error;

std::span<const std::byte> as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

std::string as_text(std::span<const std::byte> bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

std::string from_hex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i < hex.size(); i += 2) bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return bytes;
}

std::string little_endian(uint64_t value) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(value >> (8 * i) & 0xff);
  return bytes;
}

std::string file_of(const std::string& header, const std::string& data) { return little_endian(header.size()) + header + data; }

class Safetensors : public testing::Test {
 protected:
  void expect_refused(const std::string& bytes, const std::string& reason) {
    const auto path = test::write(folder_.path() / "x.safetensors", bytes);
    expect_error(
        ErrorKind::checkpoint, [&] { SafetensorsFile{path}; }, reason, path.string());
  }
  void expect_header_refused(const std::string& header, const std::string& reason) {
    expect_refused(file_of(header, "12345678"), reason);
  }

  const Json golden_ = read_json(test::data_folder() / "formats" / "expected.json").at("safetensors");
  const std::filesystem::path golden_file_ = test::data_folder() / "formats" / "tensors.safetensors";
  TemporaryFolder folder_;
};

TEST_F(Safetensors, ReadsWhatThePythonLibraryWrote) {
  const SafetensorsFile file(golden_file_);
  ASSERT_EQ(file.entries().size(), golden_.size());
  for (const Json& tensor : golden_) {
    const SafetensorsEntry& entry = file.find(tensor.at("name").get<std::string>());
    EXPECT_EQ(entry.dtype, tensor.at("dtype").get<std::string>());
    EXPECT_EQ(entry.shape, tensor.at("shape").get<std::vector<int64_t>>());
    EXPECT_EQ(as_text(file.bytes(entry)), from_hex(tensor.at("hex")));
  }
  EXPECT_EQ(file.metadata(), (std::map<std::string, std::string>{{"format", "pt"}}));
}

TEST_F(Safetensors, WritesTheSameBytesAsThePythonLibrary) {
  std::vector<std::string> contents;
  for (const Json& tensor : golden_) contents.push_back(from_hex(tensor.at("hex")));
  std::vector<SafetensorsTensor> tensors;
  for (size_t i = 0; i < golden_.size(); ++i)
    tensors.push_back({golden_[i].at("name"), golden_[i].at("dtype"), golden_[i].at("shape"), as_bytes(contents[i])});
  write_safetensors(folder_.path() / "again.safetensors", tensors, {{"format", "pt"}});
  EXPECT_EQ(read_file(folder_.path() / "again.safetensors"), read_file(golden_file_));
}

TEST_F(Safetensors, OrderOfTheTensorsGivenDoesNotMatter) {
  const SafetensorsTensor one{"one", "U8", {2}, as_bytes("ab")}, two{"two", "F32", {1}, as_bytes("cdef")};
  write_safetensors(folder_.path() / "a", {one, two}, {{"k", "v"}, {"a", "b"}});
  write_safetensors(folder_.path() / "b", {two, one}, {{"k", "v"}, {"a", "b"}});
  EXPECT_EQ(read_file(folder_.path() / "a"), read_file(folder_.path() / "b"));
}

TEST_F(Safetensors, TensorsOfAWrittenFileAreAlignedToTheirElements) {
  write_safetensors(
      folder_.path() / "a",
      {{"a", "U8", {3}, as_bytes("abc")}, {"b", "F32", {1}, as_bytes("cdef")}, {"c", "I64", {1}, as_bytes("12345678")}});
  const SafetensorsFile file(folder_.path() / "a");
  EXPECT_EQ(reinterpret_cast<uintptr_t>(file.bytes(file.find("c")).data()) % 8, 0u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(file.bytes(file.find("b")).data()) % 4, 0u);
}

TEST_F(Safetensors, AFileWithoutTensorsIsValid) {
  write_safetensors(folder_.path() / "none", {});
  EXPECT_TRUE(SafetensorsFile(folder_.path() / "none").entries().empty());
}

TEST_F(Safetensors, ACopyKeepsTheBytesAlive) {
  auto file = std::make_unique<SafetensorsFile>(golden_file_);
  const SafetensorsFile copy = *file;
  const auto flags = file->bytes(file->find("a.flags"));
  file.reset();
  EXPECT_EQ(as_text(flags), std::string("\1\0\1", 3));
}

TEST_F(Safetensors, AnUnknownNameListsTheNearest) {
  const SafetensorsFile file(golden_file_);
  EXPECT_FALSE(file.contains("decoder.wieght"));
  expect_error(
      ErrorKind::checkpoint, [&] { file.find("decoder.wieght"); }, "decoder.wieght", "nearest", "'decoder.weight'");
}

TEST_F(Safetensors, RefusesAMissingFile) {
  expect_error(
      ErrorKind::checkpoint, [&] { SafetensorsFile(folder_.path() / "absent"); }, "No such file", "absent");
}

TEST_F(Safetensors, RefusesAFolder) {
  expect_error(
      ErrorKind::checkpoint, [&] { SafetensorsFile{folder_.path()}; }, "not a regular file");
}

TEST_F(Safetensors, RefusesAnEmptyFile) { expect_refused("", "the file has 0 bytes"); }

TEST_F(Safetensors, RefusesAFileThatEndsWithinTheHeader) {
  expect_refused(little_endian(100) + "{\"a\"", "ends within the header: 100 bytes claimed, 4 present");
}

TEST_F(Safetensors, RefusesAHeaderOverTheLimit) { expect_refused(little_endian(100'000'001) + "{", "at most 100000000"); }

TEST_F(Safetensors, RefusesAHeaderSizeThatOverflows) {
  expect_refused(little_endian(UINT64_MAX) + "{}", "claims 18446744073709551615");
}

TEST_F(Safetensors, RefusesAFileTruncatedInTheData) {
  const std::string whole = read_file(golden_file_);
  expect_refused(whole.substr(0, whole.size() - 1), "the tensors need 52 bytes, 51 are present");
}

TEST_F(Safetensors, RefusesBytesAfterTheLastTensor) {
  expect_refused(read_file(golden_file_) + "x", "1 bytes after the last tensor");
}

TEST_F(Safetensors, RefusesAHeaderThatIsNoJson) { expect_header_refused("{\"a\":", "not the JSON that is expected: it ends"); }

TEST_F(Safetensors, RefusesAHeaderThatIsNoObject) { expect_header_refused("[1]", "does not begin with '{'"); }

TEST_F(Safetensors, RefusesANameThatIsNotUtf8) { expect_header_refused("{\"\xff\":{}}", "a text is not UTF-8"); }

TEST_F(Safetensors, RefusesATensorThatStandsTwice) {
  expect_header_refused(
      R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})",
      "'a' stands twice");
}

TEST_F(Safetensors, RefusesAKeyOfATensorThatStandsTwice) {
  expect_header_refused(R"({"a":{"dtype":"U8","dtype":"I8","shape":[8],"data_offsets":[0,8]}})", "'dtype' stands twice");
}

TEST_F(Safetensors, RefusesAnUnknownDtype) {
  expect_header_refused(R"({"a":{"dtype":"F31","shape":[2],"data_offsets":[0,8]}})", "tensor 'a': unknown dtype 'F31'");
}

TEST_F(Safetensors, RefusesAMissingKey) {
  expect_header_refused(R"({"a":{"dtype":"F32","shape":[2]}})", "tensor 'a': expected exactly dtype");
}

TEST_F(Safetensors, RefusesAnUnknownKey) {
  expect_header_refused(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"extra":1}})",
                        "tensor 'a': expected exactly dtype");
}

TEST_F(Safetensors, RefusesANegativeLength) {
  expect_header_refused(R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})",
                        "tensor 'a': this is not the JSON that is expected: a whole number");
}

TEST_F(Safetensors, RefusesAFractionalOffset) {
  expect_header_refused(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8.0]}})", "a whole number is expected at byte");
}

TEST_F(Safetensors, RefusesASizeThatDiffersFromTheShape) {
  expect_header_refused(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", "[0, 8] do not hold the 12 bytes");
}

TEST_F(Safetensors, RefusesAShapeWhoseSizeOverflows) {
  expect_header_refused(R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}})", "too large");
}

TEST_F(Safetensors, RefusesAShapeOfNothingThatOverflows) {
  for (const char* shape : {"0,4611686018427387904,4611686018427387904", "4611686018427387904,4611686018427387904,0"})
    expect_header_refused(fmt::format(R"({{"a":{{"dtype":"U8","shape":[{}],"data_offsets":[0,0]}}}})", shape), "too large");
}

TEST_F(Safetensors, RefusesOffsetsThatRunBackwards) {
  expect_header_refused(R"({"a":{"dtype":"U8","shape":[8],"data_offsets":[8,0]}})", "[8, 0] do not hold");
}

TEST_F(Safetensors, RefusesAHoleBetweenTensors) {
  expect_header_refused(
      R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})",
      "tensor 'b' begins at byte 4 and not at 3");
}

TEST_F(Safetensors, RefusesTensorsThatOverlap) {
  expect_header_refused(
      R"({"a":{"dtype":"U8","shape":[5],"data_offsets":[0,5]},"b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})",
      "tensor 'b' begins at byte 4 and not at 5");
}

TEST_F(Safetensors, RefusesPartsOfAByte) {
  expect_header_refused(R"({"a":{"dtype":"F4","shape":[3],"data_offsets":[0,1]}})", "12 bits of F4 do not fill whole bytes");
}

TEST_F(Safetensors, RefusesMetadataThatIsNotText) {
  expect_header_refused(R"({"__metadata__":{"epoch":3}})", "'epoch' in __metadata__ must be text");
}

TEST_F(Safetensors, RefusesToWriteAWrongSize) {
  expect_error(
      ErrorKind::internal,
      [&] {
        write_safetensors(folder_.path() / "a", {{"a", "F32", {2}, as_bytes("1234567")}});
      },
      "tensor 'a' has 7 bytes", "need 8");
  EXPECT_FALSE(std::filesystem::exists(folder_.path() / "a"));
}

TEST_F(Safetensors, RefusesToWriteANameTwice) {
  const SafetensorsTensor tensor{"a", "U8", {1}, as_bytes("1")};
  expect_error(
      ErrorKind::internal,
      [&] {
        write_safetensors(folder_.path() / "a", {tensor, tensor});
      },
      "'a' is taken");
}

TEST_F(Safetensors, RefusesToWriteTheReservedName) {
  expect_error(
      ErrorKind::internal,
      [&] {
        write_safetensors(folder_.path() / "a", {{"__metadata__", "U8", {1}, as_bytes("1")}});
      },
      "'__metadata__' is taken");
}

TEST_F(Safetensors, AFailedWriteLeavesTheOldFile) {
  const auto path = test::write(folder_.path() / "a", "old");
  EXPECT_THROW(write_safetensors(path, {{"a", "F31", {1}, as_bytes("1")}}), Error);
  EXPECT_EQ(read_file(path), "old");
}

TEST_F(Safetensors, AFolderThatCannotBeMadeIsAnErrorOfTheEnvironment) {
  const auto file = test::write(folder_.path() / "file", "");
  expect_error(
      ErrorKind::environment, [&] { write_safetensors(file / "a", {}); }, "file");
}

}  // namespace
}  // namespace microemo::formats
