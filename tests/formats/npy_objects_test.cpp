#include "microemo/formats/npy_objects.h"

#include "formats/support.h"
#include "microemo/formats/npy.h"
#include "microemo/formats/zip.h"

namespace microemo::formats {
namespace {

using test::expect_error;

const std::filesystem::path folder = test::data_folder() / "eval";

Json read(const char* file, const char* array) { return read_npz_objects(folder / file, array); }

TEST(ObjectArrays, AreListsOfWhatWasPickled) {
  EXPECT_EQ(read("objects-openset.npz", "fileitems"), Json::parse(R"([["happy","sad"],[],["Angry"]])"));
  EXPECT_EQ(read("mixed-openset.npz", "fileitems"), Json::parse(R"(["[happy, sad]",["calm","proud"],null])"));
}

TEST(ObjectArrays, WithoutDimensionsAreTheObjectItself) {
  EXPECT_EQ(read("corpus.npz", "test_corpus"), Json::parse(R"({"a":{"emo":3,"val":0.5},"b":{"emo":0,"val":-1.0}})"));
}

TEST(ObjectArrays, OfNumbersAndTextsAreReadToo) {
  EXPECT_EQ(read("valences.npz", "fileitems"), Json::parse("[1.5,-0.25,0.0]"));
  EXPECT_EQ(read("matrix-openset.npz", "fileitems"), Json::parse(R"([["happy","sad"],["calm","proud"],["x","y"]])"));
}

TEST(ObjectArrays, RefuseObjectsByTheirClass) {
  expect_error(
      ErrorKind::data, [] { read("stranger.npz", "filenames"); }, "an object of '__main__.Stranger'", "filenames.npy");
}

/// An .npy of one object with this pickle.
std::string npy_of(const std::string& pickle) {
  std::string header = "{'descr': '|O', 'fortran_order': False, 'shape': (), }";
  header.resize(117, ' ');
  header += '\n';
  return std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(header.size()) + '\0' + header + pickle;
}

TEST(ObjectArrays, OfAWholeChallengeAreRead) {
  std::string pickle = "](";
  for (int item = 0; item < 30'000; ++item) {
    pickle += "](";
    for (int label = 0; label < 6; ++label) pickle += std::string("X\x05\0\0\0happy", 10);
    pickle += "e";
  }
  const Json lists = parse_npy_objects(npy_of(pickle + "e."), "x.npy");
  EXPECT_EQ(lists.size(), 30'000u);
  EXPECT_EQ(lists[29'999].size(), 6u);
}

TEST(ObjectArrays, RefuseASmallFileThatBecomesLarge) {
  // The second of each pair of lists holds the first ten times, twelve levels deep.
  std::string pickle = "]q";
  pickle += '\x01';
  for (char level = 1; level < 13; ++level) {
    pickle += "](";
    for (int i = 0; i < 10; ++i) pickle += std::string("h") + level;
    pickle += "eq";
    pickle += static_cast<char>(level + 1);
  }
  expect_error(
      ErrorKind::data, [&] { parse_npy_objects(npy_of(pickle + "."), "x.npy"); }, "more memory", "x.npy");
}

TEST(ObjectArrays, CallNothing) {
  expect_error(
      ErrorKind::data, [] { parse_npy_objects(npy_of("cos\nsystem\n(S'true'\ntR."), "x.npy"); }, "an object of 'os.system'",
      "x.npy");
}

TEST(ObjectArrays, RefuseDamagedPickles) {
  for (const std::string pickle : {"", "]", "(", "\xff.", "}X\x10", "K"})
    expect_error(
        ErrorKind::data, [&] { parse_npy_objects(npy_of(pickle), "x.npy"); }, "x.npy");
}

TEST(ObjectArrays, RefuseWhatHoldsItself) {
  expect_error(
      ErrorKind::data,
      [] {
        parse_npy_objects(npy_of("]q\x01h\x01"
                                 "a."),
                          "x.npy");
      },
      "nested more than 64 levels", "x.npy");
}

TEST(ObjectArrays, RefuseKeysThatAreNoText) {
  expect_error(
      ErrorKind::data, [] { parse_npy_objects(npy_of("}NK\x01s."), "x.npy"); }, "neither text nor a whole number", "x.npy");
}

TEST(ObjectArrays, RefuseTextThatIsNotUnicode) {
  expect_error(
      ErrorKind::data, [] { parse_npy_objects(npy_of(std::string("X\x01\0\0\0\xff.", 7)), "x.npy"); }, "not Unicode", "x.npy");
}

TEST(ObjectArrays, RefuseACutFileAtAnyByte) {
  const std::string whole = ZipFile(folder / "mixed-openset.npz").read("fileitems.npy");
  for (size_t size = 0; size < whole.size(); ++size)
    expect_error(
        ErrorKind::data, [&] { parse_npy_objects(std::string_view(whole).substr(0, size), "x.npy"); }, "x.npy");
}

TEST(ObjectArrays, ANumberThatIsNotFiniteIsNull) {
  const auto path = TemporaryFolder();
  write_npz(path.path() / "x.npz", {{"a", make_npy(std::vector<double>{1, std::numeric_limits<double>::quiet_NaN()}, {2})}});
  EXPECT_EQ(read_npz_objects(path.path() / "x.npz", "a"), Json::parse("[1.0,null]"));
}

}  // namespace
}  // namespace microemo::formats
