#include <sys/mman.h>
#include <unistd.h>

#include <functional>

#include "formats/pickles.h"
#include "formats/support.h"
#include "microemo/formats/pth.h"
#include "microemo/formats/safetensors.h"
#include "microemo/formats/shard_index.h"
#include "support/allocations.h"

// Checkpoints cut off, damaged and made to exhaust memory: an error or a valid file, and never more memory than the files allow.

namespace microemo::formats {
namespace {

namespace fs = std::filesystem;
using namespace test;

fs::path golden(const std::string& name) { return data_folder() / "formats" / name; }

/// Whatever the file is, by its reader; `like` has the extension of its form.
void open_any(const fs::path& path, const fs::path& like) {
  if (like.extension() == ".safetensors")
    SafetensorsFile{path};
  else if (like.extension() == ".json")
    read_shard_index(path);
  else
    PthFile{path};
}

/// True when the file is refused as a checkpoint; a failure when it is refused in another way or takes too much memory.
bool refused(const fs::path& path, const fs::path& like) {
  const AllocationPeak peak;
  bool result = false;
  try {
    open_any(path, like);
  } catch (const Error& error) {
    result = true;
    EXPECT_EQ(error.kind(), ErrorKind::checkpoint) << error.what();
    EXPECT_THAT(error.place(), testing::StartsWith(path.string()));
    EXPECT_FALSE(error.message().empty());
  }
  EXPECT_LE(peak.bytes(), memory_bound(fs::file_size(path))) << path;
  return result;
}

/// The same for a file in memory: many small ones would wait for the disk.
bool refused_bytes(std::string_view bytes, const fs::path& like) {
  const int file = ::memfd_create("damaged", MFD_CLOEXEC);
  EXPECT_EQ(::write(file, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  const bool result = refused(fs::path(fmt::format("/proc/self/fd/{}", file)), like);
  ::close(file);
  return result;
}

const std::vector<std::string> files{"tensors.safetensors",  "pth/nested.pth",     "pth/views.pth",
                                     "pth/types.pth",        "pth/protocol5.pth",  "pth/legacy.pth",
                                     "pth/legacy_views.pth", "pth/state_dict.pth", "pth/unknown_legacy.pth"};

TEST(Damaged, AFileCutAtEverySixtyFourthIsRefused) {
  for (const std::string& name : files) {
    const std::string whole = read_file(golden(name));
    for (size_t part = 0; part < 64; ++part)
      EXPECT_TRUE(refused_bytes(std::string_view(whole).substr(0, whole.size() * part / 64), name)) << name << ", part " << part;
  }
}

TEST(Damaged, EveryFourthByteMayBeWrong) {
  for (const std::string& name : files) {
    std::string bytes = read_file(golden(name));
    for (size_t i = 0; i < bytes.size(); i += 4) {
      const char before = bytes[i];
      bytes[i] = static_cast<char>(i % 3 == 0 ? 0xff : i % 3 == 1 ? before ^ 1 : before ^ 0x80);
      refused_bytes(bytes, name);
      bytes[i] = before;
    }
  }
}

TEST(Damaged, BytesBehindTheEndAreRefused) {
  for (const std::string& name : files) EXPECT_TRUE(refused_bytes(read_file(golden(name)) + "x", name)) << name;
}

std::string safetensors_of(const std::string& header) { return little_endian(header.size(), 8) + header; }

std::string repeated(const std::function<std::string(int)>& part, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += part(i);
  return all;
}

struct Bomb {
  const char* name;
  std::string like;
  std::function<std::string()> bytes;
};

class Bombs : public testing::TestWithParam<Bomb> {};

TEST_P(Bombs, TakeNoMoreMemoryThanAllowed) { EXPECT_TRUE(refused_bytes(GetParam().bytes(), GetParam().like)); }

INSTANTIATE_TEST_SUITE_P(
    Checkpoints, Bombs,
    testing::Values(
        Bomb{"EmptyTensors", "x.safetensors",
             [] {
               return safetensors_of(
                   "{" +
                   repeated([](int i) { return fmt::format(R"("{}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}},)", i); },
                            200'000) +
                   R"("x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})");
             }},
        Bomb{"LongShape", "x.safetensors",
             [] {
               return safetensors_of(R"({"x":{"dtype":"U8","shape":[)" + repeated([](int) { return "1,"; }, 4'000'000) +
                                     R"(0],"data_offsets":[0,0]}})");
             }},
        Bomb{"DeepHeader", "x.safetensors", [] { return safetensors_of(R"({"x":)" + std::string(4'000'000, '[')); }},
        Bomb{"MuchMetadata", "x.safetensors",
             [] {
               return safetensors_of(R"({"__metadata__":{)" +
                                     repeated([](int i) { return fmt::format(R"("{}":"",)", i); }, 1'000'000) + R"("x":1}})");
             }},
        Bomb{"LongName", "x.safetensors",
             [] { return safetensors_of("{\"" + repeated([](int) { return "\\u00e9"; }, 5'000'000)); }},
        Bomb{"LongIndex", "x.json",
             [] {
               return R"({"weight_map":{)" + repeated([](int i) { return fmt::format(R"("{}":"a",)", i); }, 1'000'000) +
                      R"("x":"a"}})";
             }},
        Bomb{"DeepIndex", "x.json", [] { return R"({"metadata":)" + std::string(4'000'000, '{'); }},
        Bomb{"ListsOfPickle", "x.pth", [] { return legacy_bytes(p_file(std::string(8'000'000, ']'))); }},
        Bomb{"TextsOfPickle", "x.pth", [] { return legacy_bytes(p_file(repeated([](int) { return "V\n"; }, 4'000'000))); }},
        Bomb{"LongTextOfPickle", "x.pth", [] { return legacy_bytes(p_file("V" + std::string(20'000'000, 'a') + "\n" + "NR")); }},
        Bomb{"MemoOfPickle", "x.pth",
             [] {
               return legacy_bytes(p_file(
                   "N" + repeated([](int i) { return "r" + little_endian(static_cast<uint64_t>(i) * 7 + 1, 4); }, 1'000'000)));
             }},
        Bomb{"CallsOfPickle", "x.pth", [] { return legacy_bytes(p_file(repeated([](int) { return "ca\nb\n)R"; }, 1'000'000))); }},
        Bomb{"PersistentOfPickle", "x.pth", [] { return legacy_bytes(p_file(repeated([](int) { return "NQ"; }, 2'000'000))); }},
        Bomb{"OneListOfPickle", "x.pth", [] { return legacy_bytes(p_file("](" + std::string(8'000'000, 'N') + "e")); }},
        Bomb{"TensorsOfPickle", "x.pth",
             [] {
               return legacy_bytes(p_file("](" + p_tensor() + "q\1" + std::string("h\1", 2) +
                                          repeated([](int) { return "h\1"; }, 300'000) + "e"));
             }},
        // The next three are a matter of work: one long text that is looked at again and again.
        Bomb{"LongKeyOfPickle", "x.pth",
             [] {
               return legacy_bytes(p_file("}(" + p_text("w") + p_tensor() + p_text(std::string(1'000'000, 'a')) +
                                          std::string("q\1C\0q\2", 6) + repeated([](int) { return "h\1h\2"; }, 50'000) + "u"));
             }},
        Bomb{"LongValueOfPickle", "x.pth",
             [] {
               return legacy_bytes(p_file("}(" + p_text("w") + p_tensor() + p_text("a") +
                                          p_text(std::string(1'000'000, 'a') + "\xff") + "q\2" +
                                          repeated([](int) { return "K\1h\2"; }, 50'000) + "u"));
             }},
        Bomb{"LongNameOfPickle", "x.pth",
             [] {
               return legacy_bytes(
                   p_file("c" + std::string(1'000'000, 'm') + "\nC\nq\1)q\2" + repeated([](int) { return "h\1h\2R0"; }, 50'000)));
             }},
        Bomb{"ValuesOfPickle", "x.pth",
             [] {
               return legacy_bytes(p_file(
                   "}(" + repeated([](int i) { return "J" + little_endian(static_cast<uint64_t>(i), 4) + "N"; }, 400'000) + "u"));
             }}),
    [](const auto& one) { return std::string(one.param.name); });

TEST(Damaged, AnArchiveOfManyEntriesTakesNoMoreMemoryThanAllowed) {
  std::string table;
  constexpr int entries = 300'000;
  for (int i = 0; i < entries; ++i)
    table += "PK\1\2" + std::string(24, '\0') + little_endian(4, 2) + std::string(16, '\0') +
             little_endian(static_cast<uint64_t>(i), 4);
  std::string bytes = "PK\3\4" + table;
  const auto offset = little_endian(4, 8), size = little_endian(table.size(), 8), count = little_endian(entries, 8);
  const size_t record = bytes.size();
  bytes += std::string("PK\6\6") + little_endian(44, 8) + std::string(12, '\0') + count + count + size + offset;
  bytes += std::string("PK\6\7") + std::string(4, '\0') + little_endian(record, 8) + little_endian(1, 4);
  bytes += std::string("PK\5\6") + std::string(4, '\0') + std::string(12, '\xff') + std::string(2, '\0');
  EXPECT_TRUE(refused_bytes(bytes, "x.pth"));
}

struct IndexCase {
  const char* name;
  std::string text, reason;
};

class BadIndex : public testing::TestWithParam<IndexCase> {
 protected:
  TemporaryFolder folder_;
};

TEST_P(BadIndex, IsRefused) {
  const fs::path path = write(folder_.path() / "x.json", GetParam().text);
  expect_error(
      ErrorKind::checkpoint, [&] { read_shard_index(path); }, GetParam().reason, path.string());
}

INSTANTIATE_TEST_SUITE_P(
    Table, BadIndex,
    testing::Values(IndexCase{"Empty", "", "it ends at byte 0"}, IndexCase{"NoObject", "[]", "'{' is expected"},
                    IndexCase{"NoWeightMap", R"({"metadata":{"a":[1,2.5e3,null,true,"x"]}})", "no weight_map"},
                    IndexCase{"TwoWeightMaps", R"({"weight_map":{"a":"b"},"weight_map":{"a":"b"}})", "two weight_maps"},
                    IndexCase{"EmptyWeightMap", R"({"weight_map":{}})", "lists no tensors"},
                    IndexCase{"WeightMapThatIsAList", R"({"weight_map":["a"]})", "is no object"},
                    IndexCase{"FileThatIsANumber", R"({"weight_map":{"a":1}})", "the file of 'a' is not text"},
                    IndexCase{"NameTwice", R"({"weight_map":{"a":"b","a":"c"}})", "lists 'a' twice"},
                    IndexCase{"FileAbove", R"({"weight_map":{"a":"../b"}})", "'../b', which is not beside it"},
                    IndexCase{"FileByRoot", R"({"weight_map":{"a":"/b"}})", "'/b', which is not beside it"},
                    IndexCase{"FileBelow", R"({"weight_map":{"a":"b/c"}})", "'b/c', which is not beside it"},
                    IndexCase{"FileOfDots", R"({"weight_map":{"a":".."}})", "'..', which is not beside it"},
                    IndexCase{"FileWithAZero", R"({"weight_map":{"a":"b\u0000c"}})", "a zero in its name"},
                    IndexCase{"FileWithoutName", R"({"weight_map":{"a":""}})", "'', which is not beside it"},
                    IndexCase{"TextBehindTheEnd", R"({"weight_map":{"a":"b"}} x)", "something follows the end at byte"},
                    IndexCase{"CommaAtTheEnd", R"({"weight_map":{"a":"b",}})", "'\"' is expected"},
                    IndexCase{"HalfASurrogate", R"({"weight_map":{"\ud800":"b"}})", "half a surrogate pair"},
                    IndexCase{"UnknownEscape", R"({"weight_map":{"\x":"b"}})", "escape is unknown"},
                    IndexCase{"ShortEscape", R"({"weight_map":{"\u12":"b"}})", "four hexadecimal digits"},
                    IndexCase{"ControlCharacter", "{\"weight_map\":{\"a\nb\":\"c\"}}", "a control character"},
                    IndexCase{"TooDeep", R"({"metadata":)" + std::string(100, '[') + std::string(100, ']') + "}",
                              "over 64 levels"}),
    [](const auto& one) { return std::string(one.param.name); });

TEST(ShardIndex, NamesMayHaveAnyLetters) {
  const TemporaryFolder folder;
  const auto index =
      read_shard_index(write(folder.path() / "x.json",
                             R"({"weight_map" : {"a/b\\\"\u00e9\ud83d\ude00" : "c d", "x": "c d"}, "other": {"a": [{}, []]}})"));
  EXPECT_EQ(index, (std::map<std::string, std::string>{{"a/b\\\"é😀", "c d"}, {"x", "c d"}}));
}

}  // namespace
}  // namespace microemo::formats
