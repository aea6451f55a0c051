#include "microemo/formats/pth.h"

#include <cstring>

#include "formats/support.h"
#include "microemo/base/json.h"
#include "microemo/formats/safetensors.h"

namespace microemo::formats {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using testing::ElementsAre;
using testing::Pair;

fs::path golden(const std::string& name) { return test::data_folder() / "formats" / "pth" / name; }

/// A tensor's elements in row-major order, by its strides.
std::string elements_of(const PthFile& file, const PthTensor& tensor) {
  const std::string_view storage(reinterpret_cast<const char*>(file.file_bytes().data()) + tensor.storage_begin,
                                 tensor.storage_end - tensor.storage_begin);
  const auto width = static_cast<size_t>(safetensors_size(tensor.dtype, std::vector<int64_t>{1}));
  const size_t count = safetensors_size(tensor.dtype, tensor.shape) / width;
  std::string elements;
  for (size_t i = 0; i < count; ++i) {
    size_t place = tensor.offset, rest = i;
    for (size_t d = tensor.shape.size(); d-- > 0;) {
      const auto length = static_cast<size_t>(tensor.shape[d]);
      place += rest % length * static_cast<size_t>(tensor.strides[d]);
      rest /= length;
    }
    elements += storage.substr(place * width, width);
  }
  return elements;
}

std::string to_hex(const std::string& bytes) {
  std::string hex;
  for (const char byte : bytes) hex += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return hex;
}

class PthGolden : public testing::TestWithParam<const char*> {};

TEST_P(PthGolden, HoldsWhatTorchSaved) {
  const PthFile file(golden(std::string(GetParam()) + ".pth"));
  std::string content = GetParam();
  if (content.starts_with("protocol") || content == "legacy") content = "nested";
  if (content.starts_with("legacy_")) content = content.substr(7);
  const Json expected = read_json(golden("expected.json")).at(content);
  ASSERT_EQ(file.tensors().size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    const PthTensor& tensor = file.tensors()[i];
    EXPECT_EQ(tensor.name, expected[i].at("name").get<std::string>());
    EXPECT_EQ(tensor.dtype, expected[i].at("dtype").get<std::string>());
    EXPECT_EQ(tensor.shape, expected[i].at("shape").get<std::vector<int64_t>>()) << tensor.name;
    EXPECT_EQ(tensor.strides, expected[i].at("strides").get<std::vector<int64_t>>()) << tensor.name;
    EXPECT_EQ(to_hex(elements_of(file, tensor)), expected[i].at("hex").get<std::string>()) << tensor.name;
  }
}

INSTANTIATE_TEST_SUITE_P(EveryForm, PthGolden,
                         testing::Values("state_dict", "views", "types", "nested", "parameters", "one_item", "tensor", "list",
                                         "empty", "protocol1", "protocol3", "protocol4", "protocol5", "legacy", "legacy_views",
                                         "legacy_parameters"),
                         [](const auto& one) { return std::string(one.param); });

TEST(Pth, PlainValuesAreKeptAsText) {
  for (const char* name : {"nested.pth", "protocol1.pth", "protocol5.pth", "legacy.pth"}) {
    const auto values = PthFile(golden(name)).values();
    EXPECT_THAT(values, testing::IsSupersetOf({Pair("epoch", "3"), Pair("best", "0.5"), Pair("note", "größe"),
                                               Pair("finished", "true"), Pair("scaler", "none"), Pair("type", "torch.bfloat16")}))
        << name;
  }
}

}  // namespace
}  // namespace microemo::formats
