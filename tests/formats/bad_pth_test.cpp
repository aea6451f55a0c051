#include <functional>

#include "formats/pickles.h"
#include "formats/support.h"
#include "microemo/formats/pth.h"

namespace microemo::formats {
namespace {

namespace fs = std::filesystem;
using namespace test;

fs::path golden(const std::string& name) { return data_folder() / "formats" / "pth" / name; }

struct Case {
  const char* name;
  std::string pickle, reason;
};

PickledTensor with(const std::function<void(PickledTensor&)>& change) {
  PickledTensor tensor;
  change(tensor);
  return tensor;
}

/// A dict with one tensor "w".
std::string dict_of(const PickledTensor& tensor) { return p_file(p_dict("w", p_tensor(tensor))); }

class BadPth : public testing::TestWithParam<Case> {
 protected:
  TemporaryFolder folder_;
};

TEST_P(BadPth, IsRefused) {
  const auto path = write_pth(folder_.path() / "x.pth", GetParam().pickle);
  expect_error(
      ErrorKind::checkpoint, [&] { PthFile{path}; }, GetParam().reason, path.string());
}

TEST_P(BadPth, IsRefusedInTheLegacyForm) {
  const auto path = write(folder_.path() / "x.pth", legacy_bytes(GetParam().pickle));
  expect_error(
      ErrorKind::checkpoint, [&] { PthFile{path}; }, "", path.string());
}

/// Double numbers in a view of a storage of four floats, which counts in floats.
std::string p_double_in_a_view(int64_t begin, int64_t elements) {
  const std::string view = "(" + p_text("view") + p_int(begin) + p_int(elements) + "t";
  const std::string storage =
      "(" + p_text("storage") + p_global("torch", "FloatStorage") + p_text("0") + p_text("cpu") + p_int(4);
  return p_global("torch._utils", "_rebuild_tensor_v3") + "(" + storage + view + "tQ" + p_int(0) + p_tuple({1}) + p_tuple({1}) +
         "\x89" + p_global("collections", "OrderedDict") + ")R" + p_global("torch", "float64") + "tR";
}

/// Every list holds the one before ten times: a walk through all of them would not end.
std::string billion_laughs() {
  std::string lists = "]q" + little_endian(0, 1) + "0";
  for (uint64_t level = 1; level < 40; ++level) {
    lists += "](";
    for (int i = 0; i < 10; ++i) lists += "h" + little_endian(level - 1, 1);
    lists += "eq" + little_endian(level, 1) + "0";
  }
  return p_file(lists + p_dict("w", "h" + little_endian(39, 1)));
}

std::string repeated(const std::string& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

std::string nested(const std::string& open, const std::string& close, int levels) {
  return p_file(p_dict("w", repeated(open, levels) + "]" + repeated(close, levels)));
}

INSTANTIATE_TEST_SUITE_P(
    Table, BadPth,
    testing::Values(
        Case{"NegativeLength", dict_of(with([](PickledTensor& tensor) {
               tensor.shape = {-1, 2};
             })),
             "'w': a length, stride or offset"},
        Case{"NegativeStride", dict_of(with([](PickledTensor& tensor) {
               tensor.strides = {-2, 1};
             })),
             "'w': a length, stride or offset"},
        Case{"NegativeOffset", dict_of(with([](PickledTensor& tensor) { tensor.offset = -1; })),
             "'w': a length, stride or offset"},
        Case{"OffsetBehindTheStorage", dict_of(with([](PickledTensor& tensor) { tensor.offset = 1; })),
             "'w': it leaves its storage"},
        Case{"ShapeBehindTheStorage", dict_of(with([](PickledTensor& tensor) {
               tensor.shape = {3, 2};
             })),
             "'w': it leaves its storage"},
        Case{"StrideBehindTheStorage", dict_of(with([](PickledTensor& tensor) {
               tensor.strides = {3, 1};
             })),
             "'w': it leaves its storage"},
        Case{"EmptyTensorBehindTheStorage", dict_of(with([](PickledTensor& tensor) {
               tensor.shape = {0, 2}, tensor.offset = 5;
             })),
             "leaves its storage"},
        Case{"ShapeThatOverflows", dict_of(with([](PickledTensor& tensor) {
               tensor.shape = {INT64_MAX, INT64_MAX}, tensor.strides = {0, 0};
             })),
             "'w': the shape is too large for any file"},
        Case{"EmptyShapeThatOverflows", dict_of(with([](PickledTensor& tensor) {
               tensor.shape = {0, INT64_MAX, INT64_MAX}, tensor.strides = {0, 0, 0};
             })),
             "'w': the shape is too large for any file"},
        Case{"ViewThatBeginsWithinAnElement", p_file(p_dict("w", p_double_in_a_view(1, 3))),
             "'w': its view of the storage begins"},
        Case{"ViewWithTooFewElements", p_file(p_dict("w", p_double_in_a_view(2, 1))), "'w': it leaves its storage"},
        Case{"StrideThatOverflows", dict_of(with([](PickledTensor& tensor) {
               tensor.strides = {INT64_MAX, INT64_MAX};
             })),
             "'w': it leaves"},
        Case{"OffsetThatOverflows", dict_of(with([](PickledTensor& tensor) { tensor.offset = INT64_MAX; })),
             "'w': it leaves its storage"},
        Case{"RepeatedElements", dict_of(with([](PickledTensor& tensor) {
               tensor.shape = {1 << 30, 4}, tensor.strides = {0, 1};
             })),
             "elements are repeated"},
        Case{"MoreLengthsThanStrides", dict_of(with([](PickledTensor& tensor) {
               tensor.shape = {1, 2, 2};
             })),
             "more lengths than strides"},
        Case{"StorageOfAnotherSize", dict_of(with([](PickledTensor& tensor) { tensor.elements = 5; })),
             "'w': its storage '0' has 16 bytes and not 5"},
        Case{"StorageThatOverflows", dict_of(with([](PickledTensor& tensor) { tensor.elements = INT64_MAX; })),
             "its storage '0' has 16 bytes"},
        Case{"NegativeStorage", dict_of(with([](PickledTensor& tensor) { tensor.elements = -4; })), "no class, key and size"},
        Case{"WiderType", dict_of(with([](PickledTensor& tensor) { tensor.storage = "DoubleStorage"; })),
             "its storage '0' has 16 bytes and not 4"},
        Case{"MissingStorage", dict_of(with([](PickledTensor& tensor) { tensor.key = "7"; })),
             "its storage '7' is not in the file"},
        Case{"StorageOutsideTheFolder", dict_of(with([](PickledTensor& tensor) { tensor.key = "../../../etc/passwd"; })),
             "is not in the file"},
        Case{"StorageWithAnAbsoluteName", dict_of(with([](PickledTensor& tensor) { tensor.key = "/etc/passwd"; })),
             "is not in the file"},
        Case{"NameTwice", p_file("}(" + p_text("w") + p_tensor() + p_text("w") + p_tensor() + "u"),
             "two tensors have the name 'w'"},
        Case{"NameTwiceByLevels", p_file("}(" + p_text("a/b") + p_tensor() + p_text("a") + p_dict("b", p_tensor()) + "u"),
             "two tensors have the name 'a/b'"},
        Case{"TensorWithoutStorage",
             p_file(p_dict("w", p_global("torch._utils", "_rebuild_tensor_v2") + "(NK\1))t"
                                                                                 "R")),
             "no storage and shape"},
        Case{"TensorWithoutArguments", p_file(p_dict("w", p_global("torch._utils", "_rebuild_tensor_v2") + ")R")),
             "no storage and shape"},
        Case{"ShapeThatIsText",
             p_file(p_dict("w", p_global("torch._utils", "_rebuild_tensor_v2") + "(" + p_storage({}) + p_int(0) + p_text("22") +
                                    p_tuple({1}) + "tR")),
             "strides are no tuple"},
        Case{"DictThatHoldsItself", p_file("}q\1" + p_text("w") + "h\1s"), "'w': this dict holds itself"},
        Case{"ListThatHoldsItself", p_file(p_dict("w", "]q\1h\1a")), "'w/0': this list holds itself"},
        Case{"DictInAListInItself", p_file("}q\1" + p_text("w") + "]h\1as"), "'w/0': this dict holds itself"},
        Case{"BillionLaughs", billion_laughs(), "twice its size and 16 MB"},
        Case{"ListsInLists", nested("]", "a", 1000), "nested deeper than 64 levels"},
        Case{"DictsInDicts", nested("}" + p_text("k"), "s", 1000), "nested deeper than 64 levels"},
        Case{"TuplesInTuples", nested("(", "t", 1000), "nested deeper than 64 levels"},
        Case{"CallsOfCalls", p_file("cm\nC\n" + repeated(")R", 10'000)), "the file holds an object of ''"},
        Case{"ParametersInParameters",
             p_file(repeated(p_global("torch._utils", "_rebuild_parameter") + "(", 5'000) + p_tensor() + repeated("tR", 5'000)),
             "object of 'torch._utils._rebuild_parameter'"},
        Case{"ListsWithoutEnd", nested("]", "a", 1'000'000), "twice its size and 16 MB"},
        Case{"AllOnTheStack", p_file(std::string(1'000'000, 'N')), "twice its size and 16 MB"},
        Case{"AllMarks", p_file(std::string(1'000'000, '(')), "twice its size and 16 MB"},
        Case{"AllInOneList", p_file("](" + std::string(1'000'000, 'N') + "e"), "twice its size and 16 MB"},
        Case{"ManyLists", p_file(std::string(1'000'000, ']')), "twice its size and 16 MB"},
        Case{"AnObjectAtTheTop", p_file(p_global("os", "system") + p_text("touch x") + "\x85R"), "object of 'os.system'"},
        Case{"DamagedPickle", std::string("\x80\2}("), "the pickle is damaged"}),
    [](const auto& one) { return std::string(one.param.name); });

class PthFiles : public testing::Test {
 protected:
  void expect_refused(const fs::path& path, const std::string& reason) const {
    expect_error(
        ErrorKind::checkpoint, [&] { PthFile{path}; }, reason, path.string());
  }
  TemporaryFolder folder_;
  const fs::path path_ = folder_.path() / "x.pth";
};

TEST_F(PthFiles, CodeInAFileChangesNothing) {
  const fs::path before = fs::current_path();
  fs::current_path(folder_.path());
  for (const char* name : {"code.pth", "unknown.pth", "unknown_legacy.pth", "code.pkl"}) {
    try {
      PthFile{golden(name)};
    } catch (const Error&) {
    }
  }
  EXPECT_TRUE(fs::is_empty(folder_.path()));
  fs::current_path(before);
  expect_refused(golden("code.pth"), "object of 'posix.system'");
}

TEST_F(PthFiles, AViewOfAStorageCountsInElementsOfTheStorage) {
  const PthFile file(write_pth(path_, p_file(p_dict("w", p_double_in_a_view(2, 2)))));
  ASSERT_EQ(file.tensors().size(), 1u);
  EXPECT_EQ(file.tensors()[0].offset, 1u);
}

TEST_F(PthFiles, UnknownValuesAreNamed) {
  for (const char* name : {"unknown.pth", "unknown_legacy.pth"}) {
    const PthFile file(golden(name));
    ASSERT_EQ(file.tensors().size(), 1u) << name;
    ASSERT_EQ(file.unknown().size(), 3u) << name;
    EXPECT_EQ(file.unknown()[0].path + " " + file.unknown()[0].global, "args argparse.Namespace");
    EXPECT_EQ(file.unknown()[1].global, "posix.system");
  }
}

TEST_F(PthFiles, UnknownValuesCanBeRefused) {
  expect_error(
      ErrorKind::checkpoint, [&] { PthFile(golden("unknown.pth"), {.refuse_unknown = true}); }, "'args'", "argparse.Namespace",
      "was not run");
}

TEST_F(PthFiles, UnknownValuesOutsideTheSubDictDoNotMatter) {
  const PthFile file(golden("unknown.pth"), {.sub_dict = "model", .refuse_unknown = true});
  EXPECT_EQ(file.tensors()[0].name, "weight");
}

TEST_F(PthFiles, AnUnknownSubDictListsThoseThatAreThere) {
  expect_error(
      ErrorKind::checkpoint, [&] { PthFile(golden("nested.pth"), {.sub_dict = "modle"}); }, "'modle' was not found", "'model'",
      "'optimizer'");
}

TEST_F(PthFiles, ATensorIsNoSubDict) {
  expect_error(
      ErrorKind::checkpoint, [&] { PthFile(golden("nested.pth"), {.sub_dict = "model/0.weight/x"}); }, "'x' was not found");
}

TEST_F(PthFiles, RefusesAPickledModule) { expect_refused(golden("module.pth"), "object of 'torch.nn.modules.linear.Linear'"); }

TEST_F(PthFiles, RefusesATorchScriptArchive) { expect_refused(golden("script.pth"), "TorchScript"); }

TEST_F(PthFiles, RefusesAPickleOfSomethingElse) { expect_refused(golden("plain.pkl"), "none of torch.save"); }

TEST_F(PthFiles, RefusesTheTarForm) {
  std::string tar(1024, '\0');
  tar.replace(257, 5, "ustar");
  expect_refused(write(path_, tar), "tar form");
}

TEST_F(PthFiles, RefusesAFileOfAnotherKind) { expect_refused(write(path_, "hello"), "no file of torch.save"); }

TEST_F(PthFiles, RefusesAnEmptyFile) { expect_refused(write(path_, ""), "no file of torch.save"); }

TEST_F(PthFiles, RefusesAMissingFile) { expect_refused(path_, "No such file"); }

TEST_F(PthFiles, RefusesAnArchiveWithoutAPickle) {
  write_zip(path_, {{"archive/other", "x", false}});
  expect_refused(path_, "it has no data.pkl");
}

TEST_F(PthFiles, RefusesAPickleOutsideTheArchivesFolder) {
  write_zip(path_, {{"../../archive/data.pkl", p_file("}"), false}});
  expect_refused(path_, "it has no data.pkl");
}

TEST_F(PthFiles, RefusesTwoPickles) {
  write_zip(path_, {{"a/data.pkl", p_file("}"), false}, {"b/data.pkl", p_file("}"), false}});
  expect_refused(path_, "two of data.pkl");
}

TEST_F(PthFiles, RefusesABigEndianFile) {
  write_zip(path_, {{"a/data.pkl", p_file("}"), false}, {"a/byteorder", "big", false}});
  expect_refused(path_, "big-endian");
}

TEST_F(PthFiles, RefusesABigEndianLegacyFile) {
  std::string bytes = legacy_bytes(p_file("}"));
  bytes[bytes.find('\x88')] = '\x89';
  expect_refused(write(path_, bytes), "big-endian");
}

TEST_F(PthFiles, RefusesACompressedPickle) {
  write_zip(path_, {{"a/data.pkl", p_file(std::string(100'000, 'N')), true}});
  expect_refused(path_, "is deflated");
}

TEST_F(PthFiles, RefusesACompressedStorage) {
  write_zip(path_, {{"archive/data.pkl", dict_of({}), false}, {"archive/data/0", std::string(16, '\0'), true}});
  expect_refused(path_, "is deflated");
}

TEST_F(PthFiles, RefusesBytesBehindALegacyFile) {
  expect_refused(write(path_, legacy_bytes(dict_of({})) + "x"), "1 bytes behind the last storage");
}

TEST_F(PthFiles, RefusesALegacyStorageThatNothingRefersTo) {
  expect_refused(write(path_, legacy_bytes(p_file("}"))), "a storage is listed that no tensor has");
}

TEST_F(PthFiles, RefusesALegacyStorageLargerThanTheFile) {
  std::string bytes = legacy_bytes(dict_of({}));
  bytes[bytes.size() - 16 - 1] = '\x7f';
  expect_refused(write(path_, bytes), "it ends within the storages");
}

TEST_F(PthFiles, RefusesAnUnknownLegacyVersion) {
  std::string bytes = legacy_bytes(dict_of({}));
  bytes[bytes.find("\xe9\x03")] = '\xea';
  expect_refused(write(path_, bytes), "unknown version");
}

TEST_F(PthFiles, StoragesOfAnUnknownTypeAreNamed) {
  const PthFile file(write_pth(path_, dict_of(with([](PickledTensor& tensor) { tensor.storage = "QInt8Storage"; }))));
  EXPECT_EQ(file.unknown().at(0).global, "torch.QInt8Storage");
}

TEST_F(PthFiles, AMemoThatLeavesGapsTakesNoMemoryForThem) {
  const std::string far = "N" + std::string("r\xff\xff\xff\xff", 5) + "0";
  EXPECT_EQ(PthFile(write_pth(path_, p_file(far + p_dict("w", p_tensor())))).tensors().size(), 1u);
}

}  // namespace
}  // namespace microemo::formats
