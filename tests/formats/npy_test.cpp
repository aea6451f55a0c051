#include "microemo/formats/npy.h"

#include "formats/support.h"
#include "microemo/base/json.h"

namespace microemo::formats {
namespace {

using test::expect_error;

std::filesystem::path golden(const std::string& name) { return test::data_folder() / "formats" / name; }

std::string file_of(const std::string& header, const std::string& data, char version = 1) {
  std::string bytes =
      std::string("\x93NUMPY") + version + '\0' + static_cast<char>(header.size() & 0xff) + static_cast<char>(header.size() >> 8);
  if (version > 1) bytes += std::string(2, '\0');
  return bytes + header + data;
}

void expect_refused(const std::string& bytes, const std::string& reason) {
  expect_error(
      ErrorKind::data, [&] { parse_npy(bytes, "x.npy"); }, reason, "x.npy");
}

class GoldenNumbers : public testing::TestWithParam<std::string> {};

TEST_P(GoldenNumbers, AreReadAsNumPyHasThem) {
  const Json expected = read_json(golden("expected.json")).at("npy").at(GetParam());
  const NpyArray array = NpzFile(golden("numbers.npz")).read(GetParam());
  EXPECT_EQ(array.shape, expected.at("shape").get<std::vector<int64_t>>());
  std::vector<double> values;
  for (const Json& value : expected.at("values")) values.push_back(value.is_boolean() ? value.get<bool>() : value.get<double>());
  EXPECT_EQ(npy_values<double>(array), values);
}

INSTANTIATE_TEST_SUITE_P(Npy, GoldenNumbers,
                         testing::Values("c_<i1", "c_<i2", "c_<i4", "c_<i8", "c_<f2", "c_<f4", "c_<f8", "c_>i4", "c_>f8", "u_<u1",
                                         "u_<u2", "u_>u4", "u_<u8", "fortran", "fortran_big", "bool", "scalar", "empty",
                                         "half_edges"));

TEST(Npy, ReadsTextOfEveryOrderAndPlane) {
  const Json expected = read_json(golden("expected.json")).at("npy");
  const NpzFile file(golden("texts.npz"));
  ASSERT_EQ(file.names(), (std::vector<std::string>{"names", "one", "big", "fortran"}));
  for (const std::string& name : file.names()) {
    EXPECT_EQ(file.read(name).texts, expected.at("text_" + name).at("values").get<std::vector<std::string>>()) << name;
    EXPECT_EQ(file.read(name).shape, expected.at("text_" + name).at("shape").get<std::vector<int64_t>>()) << name;
  }
}

TEST(Npy, ReadsVersionsTwoAndThree) {
  EXPECT_EQ(npy_values<int64_t>(read_npy(golden("version2.npy"))), (std::vector<int64_t>{0, 1, 2}));
  EXPECT_EQ(npy_values<int64_t>(read_npy(golden("version3.npy"))), (std::vector<int64_t>{0, 1, 2}));
}

TEST(Npy, WritesTheBytesOfNumPy) {
  const TemporaryFolder folder;
  for (const char* name : {"float32.npy", "text.npy"}) {
    write_npy(folder.path() / name, read_npy(golden(name)));
    EXPECT_EQ(read_file(folder.path() / name), read_file(golden(name))) << name;
  }
}

TEST(Npy, AnArchiveKeepsItsArrays) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "x.npz";
  write_npz(path,
            {{"numbers", make_npy(std::vector<int64_t>{1, -2}, {2})}, {"text", make_npy(std::vector<std::string>{"größe"}, {})}});
  const NpzFile file(path);
  EXPECT_EQ(npy_values<int64_t>(file.read("numbers")), (std::vector<int64_t>{1, -2}));
  EXPECT_EQ(file.read("text").texts, std::vector<std::string>{"größe"});
}

TEST(Npy, AnUnknownArrayListsTheNearest) {
  expect_error(
      ErrorKind::data, [] { NpzFile(golden("texts.npz")).read("name"); }, "no entry 'name.npy'", "'names.npy'");
}

TEST(Npy, ReadsThePredictionsOfAPublicModel) {
  MICROEMO_SKIP_WITHOUT_EMER();
  const NpzFile file(test::emer_folder() / "chat-univi-openset.npz");
  EXPECT_EQ(file.read("filenames").size(), 332);
  EXPECT_EQ(file.read("fileitems").size(), 332);
}

TEST(Npy, RefusesPickledObjects) {
  expect_error(
      ErrorKind::data, [] { read_npy(golden("objects.npy")); }, "pickled code", "objects.npy", "save it as numbers or as text");
}

TEST(Npy, RefusesComplexNumbers) {
  expect_error(
      ErrorKind::data, [] { read_npy(golden("complex.npy")); }, "arrays of type '<c16'");
}

TEST(Npy, RefusesRecords) {
  expect_error(
      ErrorKind::data, [] { read_npy(golden("records.npy")); }, "arrays of records");
}

TEST(Npy, RefusesAMissingFile) {
  expect_error(
      ErrorKind::data, [] { read_npy("/nonexistent/x.npy"); }, "x.npy");
}

TEST(Npy, RefusesAnEmptyFile) { expect_refused("", "this is no .npy array"); }

TEST(Npy, RefusesAnUnknownVersion) {
  expect_refused(file_of("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", "1234", 9), "version 9");
}

TEST(Npy, RefusesAFileThatEndsWithinTheHeader) {
  const std::string whole = read_file(golden("float32.npy"));
  expect_refused(whole.substr(0, 60), "ends within the header");
}

TEST(Npy, RefusesAFileThatEndsWithinTheData) {
  const std::string whole = read_file(golden("float32.npy"));
  expect_refused(whole.substr(0, whole.size() - 1), "needs 12 bytes behind its header, 11 are present");
}

TEST(Npy, RefusesBytesBehindTheData) {
  expect_refused(read_file(golden("float32.npy")) + "x", "needs 12 bytes behind its header, 13");
}

TEST(Npy, RefusesAShapeWhoseSizeOverflows) {
  expect_refused(file_of("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 8), }", "1234"), "too large");
}

TEST(Npy, RefusesANegativeLength) {
  expect_refused(file_of("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", "1234"),
                 "a length of the shape is missing");
}

TEST(Npy, RefusesAHeaderWithoutShape) {
  expect_refused(file_of("{'descr': '<f4', 'fortran_order': False}", "1234"), "must hold descr");
}

TEST(Npy, RefusesAKeyThatStandsTwice) {
  expect_refused(file_of("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': ()}", "1234"),
                 "'descr' stands twice");
}

TEST(Npy, RefusesAnUnknownKey) { expect_refused(file_of("{'code': 'x'}", ""), "unknown key 'code'"); }

TEST(Npy, RefusesAHeaderThatIsNoDictionary) { expect_refused(file_of("__import__('os')", ""), "header is damaged"); }

TEST(Npy, RefusesTextThatIsNotUnicode) {
  expect_refused(file_of("{'descr': '<U1', 'fortran_order': False, 'shape': (1,), }", std::string("\x00\xd8\x00\x00", 4)),
                 "not Unicode");
}

TEST(Npy, RefusesTextWithoutWidth) {
  expect_refused(file_of("{'descr': '<U0', 'fortran_order': False, 'shape': (99999999999,), }", ""), "arrays of type '<U0'");
}

TEST(Npy, RefusesNumbersOfText) {
  expect_error(
      ErrorKind::data, [] { npy_values<double>(read_npy(golden("text.npy"))); }, "the array is text [2, 2]");
}

TEST(Npy, RefusesAValueThatDoesNotFit) {
  expect_error(
      ErrorKind::data, [] { npy_values<int64_t>(read_npy(golden("float32.npy"))); }, "value 0.5 of an array float32 [1, 3]");
  const NpyArray large = make_npy(std::vector<int64_t>{(int64_t{1} << 53) + 1}, {1});
  expect_error(
      ErrorKind::data, [&] { npy_values<double>(large); }, "value 9007199254740993");
}

TEST(Npy, RefusesToWriteTextThatNumPyCannotKeep) {
  expect_error(
      ErrorKind::data, [] { make_npy(std::vector<std::string>{std::string("a\0", 2)}, {1}); }, "ends with a zero character");
  expect_error(
      ErrorKind::data, [] { make_npy(std::vector<std::string>{"\xff"}, {1}); }, "not UTF-8");
}

TEST(Npy, RefusesAShapeOfAnotherSizeThanTheValues) {
  expect_error(
      ErrorKind::internal,
      [] {
        make_npy(std::vector<float>{1, 2, 3}, {2});
      },
      "3 values for float32 [2]");
}

}  // namespace
}  // namespace microemo::formats
