#include "microemo/checkpoint/tensor_writer.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/zeros.h>

#include "checkpoint/support.h"
#include "microemo/base/json.h"
#include "microemo/checkpoint/tensor_source.h"
#include "microemo/checkpoint/tensors.h"

namespace microemo::checkpoint {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using testing::ElementsAre;
using testing::Pair;

const fs::path golden = fs::path(MICROEMO_SOURCE_DIR) / "tests" / "data" / "checkpoint";

/// What tests/reference/exported_pth.py finds in exported.pth: 0, 1, 2, … in every type.
const std::vector<TensorPlan> exported{
    {"decoder.weight", at::kFloat, {2, 3}},
    {"größe", at::kBFloat16, {4}},
    {"half", at::kHalf, {}},
    {"double", at::kDouble, {1, 1}},
    {"none", at::kFloat, {0, 3}},
    {"flags", at::kBool, {2}},
    {"long", at::kLong, {2}},
    {"int", at::kInt, {2}},
    {"short", at::kShort, {2}},
    {"char", at::kChar, {2}},
    {"byte", at::kByte, {3}},
    {"complex", at::kComplexFloat, {2}},
    {"uint16", at::kUInt16, {2}},
    {"uint32", at::kUInt32, {2}},
    {"uint64", at::kUInt64, {2}},
    {"f8", at::kFloat8_e4m3fn, {2}},
    {"f8_wide", at::kFloat8_e5m2, {2}},
};

at::Tensor count(const TensorPlan& plan) {
  return at::arange(at::zeros(plan.shape).numel(), at::kFloat).view(plan.shape).to(plan.type);
}

class Writer : public testing::Test {
 protected:
  std::vector<std::string> names_in(const fs::path& folder) const {
    std::vector<std::string> names;
    for (const auto& file : fs::directory_iterator(folder)) names.push_back(file.path().filename().string());
    std::sort(names.begin(), names.end());
    return names;
  }
  TemporaryFolder folder_;
  const fs::path file_ = folder_.path() / "x";
};

TEST_F(Writer, APthIsTheFileThatTorchHasRead) {
  write_pth(file_, exported, count, "model");
  EXPECT_EQ(read_file(file_), read_file(golden / "exported.pth"));
}

TEST_F(Writer, APthReadsBack) {
  write_pth(file_, exported, count);
  const TensorSource source(file_);
  ASSERT_EQ(source.entries().size(), exported.size());
  for (size_t i = 0; i < exported.size(); ++i) {
    EXPECT_EQ(source.entries()[i].name, exported[i].name);
    EXPECT_EQ(source.entries()[i].offset % 64, 0u) << exported[i].name;
    const at::Tensor read = source.tensor(exported[i].name);
    EXPECT_EQ(read.scalar_type(), exported[i].type);
    EXPECT_TRUE(read.to(at::kFloat).equal(count(exported[i]).to(at::kFloat))) << exported[i].name;
  }
}

TEST_F(Writer, AStreamedFileIsTheOneThatIsWrittenAtOnce) {
  NamedTensors tensors;
  for (const TensorPlan& plan : exported) tensors[plan.name] = count(plan);
  write_safetensors_file(file_, exported, count);
  write_tensors(folder_.path() / "y", tensors, {{"format", "pt"}});
  EXPECT_EQ(read_file(file_), read_file(folder_.path() / "y"));
}

TEST_F(Writer, EveryTensorIsMadeOnceAndLetGo) {
  int made = 0;
  at::Tensor last;
  write_safetensors_file(file_, exported, [&](const TensorPlan& plan) {
    ++made;
    EXPECT_TRUE(!last.defined() || last.use_count() == 1);
    return last = count(plan);
  });
  EXPECT_EQ(made, static_cast<int>(exported.size()));
}

TEST_F(Writer, AStridedTensorIsWrittenInRowMajorOrder) {
  const at::Tensor turned = at::arange(6).view({2, 3}).t();
  write_pth(file_, {{"x", at::kLong, {3, 2}}}, [&](const TensorPlan&) { return turned; });
  EXPECT_TRUE(TensorSource(file_).tensor("x").equal(turned));
}

TEST_F(Writer, AFolderThatFitsIntoOneFileHasNoIndex) {
  write_safetensors_folder(folder_.path(), exported, count);
  EXPECT_THAT(names_in(folder_.path()), ElementsAre("model.safetensors"));
}

TEST_F(Writer, ShardsFollowThePlanAndTheIndexTheirNames) {
  const std::vector<TensorPlan> plan{
      {"b", at::kFloat, {4}}, {"a", at::kFloat, {4}}, {"large", at::kFloat, {100}}, {"c", at::kFloat, {1}}};
  write_safetensors_folder(folder_.path(), plan, count, {.shard_bytes = 40});
  EXPECT_THAT(names_in(folder_.path()), ElementsAre("model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors",
                                                    "model-00003-of-00003.safetensors", "model.safetensors.index.json"));
  const Json index = read_json(folder_.path() / "model.safetensors.index.json");
  EXPECT_EQ(index.at("metadata").at("total_size"), 4 * 109);
  EXPECT_EQ(index.at("weight_map").dump(),
            R"({"a":"model-00001-of-00003.safetensors","b":"model-00001-of-00003.safetensors",)"
            R"("c":"model-00003-of-00003.safetensors","large":"model-00002-of-00003.safetensors"})");
  EXPECT_TRUE(TensorSource(folder_.path()).tensor("large").equal(count(plan[2])));
}

TEST_F(Writer, MetadataIsKeptInEveryShard) {
  write_safetensors_folder(folder_.path(), {{"a", at::kFloat, {4}}, {"b", at::kFloat, {4}}}, count,
                           {.shard_bytes = 16, .metadata = {{"format", "pt"}, {"base", "x"}}});
  EXPECT_THAT(TensorSource(folder_.path() / "model-00002-of-00002.safetensors").metadata(),
              ElementsAre(Pair("base", "x"), Pair("format", "pt")));
}

TEST_F(Writer, RefusesAFolderWithWeights) {
  write_safetensors_folder(folder_.path(), exported, count);
  expect_error(
      ErrorKind::checkpoint, [&] { write_safetensors_folder(folder_.path(), exported, count); }, "holds weights already");
}

TEST_F(Writer, RefusesATensorThatDiffersFromItsPlan) {
  for (const at::Tensor& wrong : {at::zeros({3}), at::zeros({2}, at::kHalf), at::Tensor()}) {
    EXPECT_THROW(write_safetensors_file(file_, {{"x", at::kFloat, {2}}}, [&](const TensorPlan&) { return wrong; }), Error);
    EXPECT_THROW(write_pth(file_, {{"x", at::kFloat, {2}}}, [&](const TensorPlan&) { return wrong; }), Error);
  }
  EXPECT_TRUE(fs::is_empty(folder_.path()));
}

TEST_F(Writer, RefusesANameTwice) {
  const std::vector<TensorPlan> twice{{"a", at::kFloat, {4}}, {"a", at::kFloat, {4}}};
  expect_error(
      ErrorKind::internal, [&] { write_pth(file_, twice, count); }, "'a' is taken");
  expect_error(
      ErrorKind::internal, [&] { write_safetensors_file(file_, twice, count); }, "'a' is taken");
  expect_error(
      ErrorKind::internal, [&] { write_safetensors_folder(folder_.path(), twice, count, {.shard_bytes = 16}); }, "'a' is taken");
}

TEST_F(Writer, RefusesATypeThatTheFormLacks) {
  expect_error(
      ErrorKind::internal,
      [&] {
        write_safetensors_file(file_, {{"x", at::kComplexDouble, {1}}}, count);
      },
      "ComplexDouble");
  expect_error(
      ErrorKind::internal,
      [&] {
        write_pth(file_, {{"x", at::ScalarType::Float4_e2m1fn_x2, {1}}}, count);
      },
      "type F4");
}

TEST_F(Writer, AFailureOfTheMakerLeavesNothingBehind) {
  const auto fail = [](const TensorPlan&) -> at::Tensor { throw DataError("no"); };
  EXPECT_THROW(write_pth(file_, exported, fail), Error);
  EXPECT_TRUE(fs::is_empty(folder_.path()));
}

}  // namespace
}  // namespace microemo::checkpoint
