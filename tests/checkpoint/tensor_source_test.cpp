#include "microemo/checkpoint/tensor_source.h"

#include <sys/stat.h>

#include <filesystem>

#include <ATen/ops/arange.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include "checkpoint/support.h"
#include "microemo/base/json.h"
#include "microemo/checkpoint/load.h"
#include "microemo/checkpoint/tensors.h"

namespace microemo::checkpoint {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using testing::ElementsAre;

const fs::path data_folder = fs::path(MICROEMO_SOURCE_DIR) / "tests" / "data";

fs::path pth(const std::string& name) { return data_folder / "formats" / "pth" / (name + ".pth"); }

std::string hex_of(const at::Tensor& tensor) {
  const at::Tensor plain = tensor.contiguous();
  const auto* bytes = static_cast<const unsigned char*>(plain.const_data_ptr());
  std::string hex;
  for (size_t i = 0; i < plain.nbytes(); ++i) hex += fmt::format("{:02x}", bytes[i]);
  return hex;
}

std::vector<std::string> names_of(const TensorSource& source) {
  std::vector<std::string> names;
  for (const TensorEntry& entry : source.entries()) names.push_back(entry.name);
  return names;
}

class Source : public testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) const { std::ofstream(folder_.path() / name) << text; }
  /// Two shards with their index.
  void write_shards() const {
    write_tensors(folder_.path() / "model-00001-of-00002.safetensors", {{"a", at::ones({2})}, {"b", at::zeros({3})}});
    write_tensors(folder_.path() / "model-00002-of-00002.safetensors", {{"c", at::arange(4)}});
    write("model.safetensors.index.json", R"({"metadata":{"total_size":52},"weight_map":{
      "a":"model-00001-of-00002.safetensors","b":"model-00001-of-00002.safetensors","c":"model-00002-of-00002.safetensors"}})");
  }
  void expect_refused(const std::string& reason) const {
    expect_error(
        ErrorKind::checkpoint, [&] { TensorSource{folder_.path()}; }, reason);
  }
  TemporaryFolder folder_;
};

TEST_F(Source, TensorsOfTorchHaveTheirValuesAndStrides) {
  for (const std::string name : {"views", "types", "legacy_views", "parameters"}) {
    const TensorSource source(pth(name));
    const Json expected =
        read_json(data_folder / "formats" / "pth" / "expected.json").at(name == "legacy_views" ? "views" : name);
    ASSERT_EQ(source.entries().size(), expected.size());
    for (const Json& row : expected) {
      const at::Tensor tensor = source.tensor(row.at("name").get<std::string>());
      EXPECT_EQ(tensor.sizes().vec(), row.at("shape").get<std::vector<int64_t>>()) << row;
      EXPECT_EQ(hex_of(tensor), row.at("hex").get<std::string>()) << row;
      EXPECT_FALSE(tensor.requires_grad());
    }
  }
}

TEST_F(Source, ViewsOfOneStorageShareIt) {
  const TensorSource source(pth("views"));
  const at::Tensor base = source.tensor("base"), turned = source.tensor("turned");
  EXPECT_TRUE(turned.is_alias_of(base));
  EXPECT_EQ(turned.strides().vec(), (std::vector<int64_t>{1, 6}));
  EXPECT_EQ(source.find("tied").offset, source.find("base").offset);
}

TEST_F(Source, EntriesAreKnownWithoutTheirBytes) {
  write_tensors(folder_.path() / "x", {{"b", at::zeros({2, 3})}, {"a", at::arange(4)}}, {{"k", "v"}});
  const TensorSource source(folder_.path() / "x");
  EXPECT_THAT(names_of(source), ElementsAre("a", "b"));
  const TensorEntry& entry = source.find("b");
  EXPECT_EQ(entry.dtype, "F32");
  EXPECT_EQ(entry.shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(entry.bytes, 24u);
  EXPECT_EQ(entry.offset + entry.bytes, fs::file_size(folder_.path() / "x"));
  EXPECT_EQ(source.metadata().at("k"), "v");
  EXPECT_EQ(source.format(), "safetensors");
}

TEST_F(Source, AHeaderWhoseSizeBeginsLikeAPickleIsSafetensors) {
  write_tensors(folder_.path() / "x", {{std::string(328, 'a'), at::ones({1})}});
  ASSERT_EQ(read_file(folder_.path() / "x").substr(0, 2), "\x80\x01");
  EXPECT_EQ(TensorSource(folder_.path() / "x").format(), "safetensors");
}

TEST_F(Source, AFolderOfShardsReadsAsOneFile) {
  write_shards();
  const TensorSource source(folder_.path());
  EXPECT_THAT(names_of(source), ElementsAre("a", "b", "c"));
  EXPECT_EQ(source.files().size(), 2u);
  EXPECT_TRUE(source.tensor("c").equal(at::arange(4)));
}

TEST_F(Source, AFolderOfPickledWeightsIsRead) {
  fs::copy(pth("state_dict"), folder_.path() / "pytorch_model.bin");
  EXPECT_TRUE(TensorSource(folder_.path()).contains("0.weight"));
}

TEST_F(Source, AFolderOfPickledShardsIsRead) {
  fs::copy(pth("one_item"), folder_.path() / "pytorch_model-00001-of-00001.bin");
  write("pytorch_model.bin.index.json", R"({"metadata":{},"weight_map":{"weight":"pytorch_model-00001-of-00001.bin"}})");
  EXPECT_EQ(TensorSource(folder_.path()).tensor("weight").numel(), 2);
}

TEST_F(Source, SafetensorsGoBeforePickles) {
  fs::copy(pth("state_dict"), folder_.path() / "pytorch_model.bin");
  write_tensors(folder_.path() / "model.safetensors", {{"a", at::ones({1})}});
  EXPECT_THAT(names_of(TensorSource(folder_.path())), ElementsAre("a"));
}

TEST_F(Source, ASubDictHasItsOwnNames) {
  const TensorSource source(pth("nested"), {.sub_dict = "optimizer/state"});
  EXPECT_THAT(names_of(source), ElementsAre("0/exp_avg", "0/step"));
}

TEST_F(Source, WhatIsNotReadIsNamed) {
  const TensorSource source(pth("unknown"));
  EXPECT_THAT(names_of(source), ElementsAre("model/weight"));
  std::vector<std::string> skipped;
  for (const SkippedValue& value : source.skipped()) skipped.push_back(value.path + ": " + value.global);
  EXPECT_THAT(skipped,
              ElementsAre("args: argparse.Namespace", "run: posix.system", "array: torch._utils._rebuild_sparse_tensor"));
}

TEST_F(Source, UnknownValuesCanBeRefused) {
  expect_error(
      ErrorKind::checkpoint, [&] { TensorSource(pth("unknown"), {.unknown = UnknownValues::refuse}); }, "argparse.Namespace");
}

TEST_F(Source, AMappedTensorIsFrozen) {
  write_tensors(folder_.path() / "x", {{"a", at::ones({4})}});
  const TensorSource source(folder_.path() / "x");
  at::Tensor mapped = source.tensor("a");
  EXPECT_TRUE(is_mapped(mapped));
  EXPECT_TRUE(is_mapped(mapped.view({2, 2}).t()));
  EXPECT_FALSE(is_mapped(mapped.clone()));
  EXPECT_THROW(mapped.add_(1), c10::Error);
  EXPECT_THROW(mapped.view({2, 2})[0].zero_(), c10::Error);
  EXPECT_THROW(mapped.mutable_data_ptr(), c10::Error);
  EXPECT_TRUE(mapped.equal(at::ones({4})));
}

TEST_F(Source, ATensorOfManyDimensionsIsCopiedFromWhereItIsNotAligned) {
  std::string ones;
  for (int i = 0; i < 200'000; ++i) ones += "1,";
  std::string header = R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"F32","shape":[)" + ones +
                       R"(2],"data_offsets":[1,9]}})";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  std::string size(8, '\0');
  for (size_t i = 0; i < 8; ++i) size[i] = static_cast<char>(header.size() >> (8 * i) & 0xff);
  write("x", size + header + std::string(1, '\0') + std::string("\0\0\x80\x3f\0\0\0\x40", 8));
  const at::Tensor tensor = TensorSource(folder_.path() / "x").tensor("b");
  EXPECT_EQ(tensor.dim(), 200'001);
  const auto* values = static_cast<const float*>(tensor.const_data_ptr());
  EXPECT_EQ(values[0], 1);
  EXPECT_EQ(values[1], 2);
}

TEST_F(Source, TheErrorOfAWriteNamesTheFile) {
  write_tensors(folder_.path() / "x", {{"a", at::ones({4})}});
  const at::Tensor mapped = TensorSource(folder_.path() / "x").tensor("a");
  expect_error(
      ErrorKind::internal, [&] { require_writable(mapped, "a"); }, (folder_.path() / "x").string());
  require_writable(mapped.clone(), "a");
}

TEST_F(Source, AModuleOfMappedTensorsIsNotLoadedInto) {
  write_tensors(folder_.path() / "x", {{"weight", at::ones({4})}});
  torch::nn::Module module("frozen");
  module.register_parameter("weight", TensorSource(folder_.path() / "x").tensor("weight"), false);
  expect_error(
      ErrorKind::internal,
      [&] {
        load_into(module, {{"weight", at::zeros({4})}}, {});
      },
      "'weight' is to be written to");
}

TEST_F(Source, ATensorIsCopiedAndConverted) {
  write_tensors(folder_.path() / "x", {{"a", at::arange(6, at::kInt).view({2, 3})}});
  const TensorSource source(folder_.path() / "x");
  const at::Tensor target = at::zeros({2, 3});
  source.copy_to(source.find("a"), target);
  EXPECT_TRUE(target.equal(at::arange(6, at::kFloat).view({2, 3})));
  expect_error(
      ErrorKind::checkpoint,
      [&] {
        source.copy_to(source.find("a"), at::zeros({3, 2}));
      },
      "[2, 3]");
}

TEST_F(Source, RefusesAFolderWithoutWeights) { expect_refused("no weights in this folder"); }

TEST_F(Source, RefusesAPathThatIsNotThere) {
  expect_error(
      ErrorKind::checkpoint, [&] { TensorSource(folder_.path() / "absent"); }, "no such file or folder");
}

TEST_F(Source, RefusesAPipeWithoutWaitingForIt) {
  ASSERT_EQ(::mkfifo((folder_.path() / "model.safetensors").c_str(), 0600), 0);
  expect_refused("it is not a regular file");
}

TEST_F(Source, RefusesAShardThatIsAPipe) {
  write_shards();
  fs::remove(folder_.path() / "model-00002-of-00002.safetensors");
  ASSERT_EQ(::mkfifo((folder_.path() / "model-00002-of-00002.safetensors").c_str(), 0600), 0);
  expect_refused("it is not a regular file");
}

TEST_F(Source, RefusesANameThatIsTooLong) {
  expect_error(
      ErrorKind::checkpoint, [&] { TensorSource(folder_.path() / std::string(300, 'a')); }, "File name too long");
}

TEST_F(Source, RefusesAnIndexWithoutItsShard) {
  write_shards();
  fs::remove(folder_.path() / "model-00002-of-00002.safetensors");
  expect_refused("model-00002-of-00002.safetensors");
}

TEST_F(Source, RefusesAShardThatLacksATensorOfTheIndex) {
  write_shards();
  write_tensors(folder_.path() / "model-00002-of-00002.safetensors", {{"d", at::arange(4)}});
  expect_refused("the index says that 'c' lies in model-00002-of-00002.safetensors");
}

TEST_F(Source, RefusesAnIndexThatLeadsOutOfItsFolder) {
  for (const char* name : {"../model.safetensors", "/etc/passwd", "sub/model.safetensors", "..", "a\\\\b", ""}) {
    write("model.safetensors.index.json", fmt::format(R"({{"weight_map":{{"a":"{}"}}}})", name));
    expect_refused("which is not beside it");
  }
}

TEST_F(Source, RefusesTwoTensorsOfOneName) {
  write_shards();
  write_tensors(folder_.path() / "model-00001-of-00002.safetensors",
                {{"a", at::ones({1})}, {"b", at::ones({1})}, {"x", at::ones({1})}});
  write_tensors(folder_.path() / "model-00002-of-00002.safetensors", {{"c", at::ones({1})}, {"x", at::ones({1})}});
  expect_refused("two tensors have the name 'x'");
}

TEST_F(Source, RefusesASubDictOfSafetensors) {
  write_tensors(folder_.path() / "x", {{"a", at::ones({1})}});
  expect_error(
      ErrorKind::checkpoint, [&] { TensorSource(folder_.path() / "x", {.sub_dict = "model"}); }, "no sub-dict 'model'");
}

TEST_F(Source, AnUnknownNameListsTheNearest) {
  const TensorSource source(pth("state_dict"));
  expect_error(
      ErrorKind::checkpoint, [&] { source.tensor("0.wieght"); }, "the nearest name is '0.weight'");
}

}  // namespace
}  // namespace microemo::checkpoint
