#include "microemo/checkpoint/tensors.h"

#include <algorithm>
#include <cctype>

#include <ATen/ops/arange.h>
#include <ATen/ops/complex.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>

#include "checkpoint/support.h"
#include "microemo/base/json.h"
#include "microemo/formats/safetensors.h"

namespace microemo::checkpoint {
namespace {

namespace fs = std::filesystem;
using test::expect_error;

class Tensors : public testing::Test {
 protected:
  const fs::path golden_ = fs::path(MICROEMO_SOURCE_DIR) / "tests" / "data" / "checkpoint";
  TemporaryFolder folder_;
};

TEST_F(Tensors, ReadsWhatPythonWroteInEveryType) {
  const NamedTensors tensors = read_tensors(golden_ / "tensors.safetensors");
  const Json expected = read_json(golden_ / "tensors.json");
  ASSERT_EQ(tensors.size(), expected.size());
  for (const Json& row : expected) {
    const at::Tensor& tensor = tensors.at(row.at("name"));
    EXPECT_EQ(tensor.sizes().vec(), row.at("shape").get<std::vector<int64_t>>()) << row;
    const auto values = row.at("values").get<std::vector<double>>();
    EXPECT_TRUE(tensor.to(at::kDouble).flatten().equal(at::tensor(values, at::kDouble))) << row;
  }
}

TEST_F(Tensors, ReadsTheRareTypesOfPython) {
  const NamedTensors tensors = read_tensors(golden_ / "rare_types.safetensors");
  const Json expected = read_json(golden_ / "rare_types.json");
  ASSERT_EQ(tensors.size(), expected.size());
  for (const Json& row : expected) {
    const at::Tensor& tensor = tensors.at(row.at("name"));
    EXPECT_EQ(tensor.sizes().vec(), row.at("shape").get<std::vector<int64_t>>()) << row;
    std::string type = c10::toString(tensor.scalar_type());
    std::transform(type.begin(), type.end(), type.begin(), [](unsigned char c) { return std::tolower(c); });
    EXPECT_EQ(type == "complexfloat" ? "complex64" : type, row.at("name").get<std::string>());
    std::string hex;
    for (size_t i = 0; i < tensor.nbytes(); ++i)
      hex += fmt::format("{:02x}", static_cast<const unsigned char*>(tensor.const_data_ptr())[i]);
    EXPECT_EQ(hex, row.at("hex").get<std::string>()) << row;
  }
}

TEST_F(Tensors, WritesTheRareTypesAsPython) {
  write_tensors(folder_.path() / "again", read_tensors(golden_ / "rare_types.safetensors"), {{"format", "pt"}});
  EXPECT_EQ(read_file(folder_.path() / "again"), read_file(golden_ / "rare_types.safetensors"));
}

TEST_F(Tensors, WritesTheSameFileAsPython) {
  write_tensors(folder_.path() / "again", read_tensors(golden_ / "tensors.safetensors"), {{"format", "pt"}});
  EXPECT_EQ(read_file(folder_.path() / "again"), read_file(golden_ / "tensors.safetensors"));
}

TEST_F(Tensors, AStridedTensorIsWrittenInRowMajorOrder) {
  const at::Tensor turned = at::arange(6).view({2, 3}).t();
  write_tensors(folder_.path() / "a", {{"x", turned}});
  EXPECT_TRUE(read_tensors(folder_.path() / "a").at("x").equal(turned));
}

TEST_F(Tensors, ATensorOutlivesTheOthersOfItsFile) {
  at::Tensor kept;
  {
    write_tensors(folder_.path() / "a", {{"x", at::arange(1000)}, {"y", at::ones({3})}});
    kept = read_tensors(folder_.path() / "a").at("x");
  }
  EXPECT_EQ(kept.sum().item<int64_t>(), 499500);
}

TEST_F(Tensors, BytesThatAreNotAlignedToTheElementAreRead) {
  const std::string header = R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                             R"("b":{"dtype":"I16","shape":[2],"data_offsets":[1,5]}} )";
  std::string bytes(8, '\0');
  bytes[0] = static_cast<char>(header.size());
  std::ofstream(folder_.path() / "odd", std::ios::binary) << bytes << header << std::string("\x07\x01\x00\x02\x01", 5);
  EXPECT_TRUE(read_tensors(folder_.path() / "odd").at("b").equal(at::tensor({1, 258}, at::kShort)));
}

TEST_F(Tensors, RefusesATypeWithoutATensorType) {
  const std::byte bytes[3] = {};
  formats::write_safetensors(folder_.path() / "a", {{"x", "F6_E2M3", {4}, bytes}});
  const Error error = expect_error(
      ErrorKind::checkpoint, [&] { read_tensors(folder_.path() / "a"); }, "tensor 'x' has the type F6_E2M3");
  EXPECT_EQ(error.place(), (folder_.path() / "a").string());
}

TEST_F(Tensors, RefusesAMissingFile) {
  expect_error(
      ErrorKind::checkpoint, [&] { read_tensors(folder_.path() / "absent"); }, "absent");
}

TEST_F(Tensors, RefusesToWriteAnUndefinedTensor) {
  expect_error(
      ErrorKind::internal,
      [&] {
        write_tensors(folder_.path() / "a", {{"x", at::Tensor()}});
      },
      "'x' is undefined");
}

TEST_F(Tensors, RefusesToWriteATypeOutsideTheFormat) {
  const at::Tensor complex = at::complex(at::ones({1}, at::kDouble), at::ones({1}, at::kDouble));
  expect_error(
      ErrorKind::internal,
      [&] {
        write_tensors(folder_.path() / "a", {{"x", complex}});
      },
      "'x' has the type ComplexDouble");
  EXPECT_FALSE(fs::exists(folder_.path() / "a"));
}

}  // namespace
}  // namespace microemo::checkpoint
