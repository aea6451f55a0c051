#include "microemo/checkpoint/load.h"

#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include "checkpoint/support.h"

namespace microemo::checkpoint {
namespace {

using test::expect_error;

class Load : public testing::Test {
 protected:
  NamedTensors whole() const {
    return {{"first.weight", at::ones({2, 3})},
            {"second.weight", at::ones({4, 2})},
            {"second.bias", at::ones({4})},
            {"scale", at::ones({1})}};
  }
  Error refusal(const NamedTensors& tensors, const std::string& part) {
    return expect_error(
        ErrorKind::checkpoint, [&] { load_into(module_, tensors, {.source = "x.safetensors"}); }, part);
  }

  test::TwoLayers module_;
};

TEST_F(Load, FillsParametersAndBuffers) {
  const LoadReport report = load_into(module_, whole(), {});
  EXPECT_EQ(report.loaded, (std::vector<std::string>{"first.weight", "scale", "second.bias", "second.weight"}));
  for (const auto& [name, tensor] : tensors_of(module_)) EXPECT_TRUE(tensor.eq(1).all().item<bool>()) << name;
}

TEST_F(Load, ParametersStayTrainable) {
  load_into(module_, whole(), {});
  for (const at::Tensor& parameter : module_.parameters()) EXPECT_TRUE(parameter.requires_grad() && parameter.is_leaf());
}

TEST_F(Load, ConvertsBetweenFloatingPointTypes) {
  NamedTensors tensors = whole();
  tensors["second.bias"] = tensors["second.bias"].to(at::kBFloat16);
  load_into(module_, tensors, {});
  EXPECT_TRUE(tensors_of(module_).at("second.bias").equal(at::ones({4})));
}

TEST_F(Load, NamesEveryMissingTensorAndWhatTheFileHasInstead) {
  NamedTensors tensors = whole();
  tensors.erase("scale");
  tensors["second.wieght"] = tensors.extract("second.weight").mapped();
  const Error error = refusal(tensors, "2 missing:\n    scale\n    second.weight (the file has 'second.wieght')");
  EXPECT_EQ(error.place(), "x.safetensors");
  EXPECT_FALSE(error.next_step().empty());
}

TEST_F(Load, NamesWhatIsUnexpected) {
  NamedTensors tensors = whole();
  tensors["third"] = at::ones({1});
  refusal(tensors, "1 unexpected:\n    third");
}

TEST_F(Load, ShowsBothShapes) {
  NamedTensors tensors = whole();
  tensors["first.weight"] = at::ones({3, 2});
  refusal(tensors, "1 of another shape:\n    first.weight: file [3, 2], model [2, 3]");
}

TEST_F(Load, RefusesAnIntegerForAWeight) {
  NamedTensors tensors = whole();
  tensors["scale"] = at::ones({1}, at::kLong);
  refusal(tensors, "scale: file Long, model Float");
}

TEST_F(Load, RefusesAConversionWhereTypesHaveToBeExact) {
  NamedTensors tensors = whole();
  tensors["scale"] = at::ones({1}, at::kHalf);
  expect_error(
      ErrorKind::checkpoint, [&] { load_into(module_, tensors, {.exact_type = true}); }, "scale: file Half, model Float");
}

TEST_F(Load, ALongListIsCutWithItsCount) {
  NamedTensors tensors = whole();
  for (int i = 0; i < 10; ++i) tensors["extra" + std::to_string(i)] = at::ones({1});
  refusal(tensors, "10 unexpected:");
  refusal(tensors, "and 2 more");
}

TEST_F(Load, CopiesNothingWhenAnythingDoesNotFit) {
  NamedTensors tensors = whole();
  tensors.erase("scale");
  EXPECT_THROW(load_into(module_, tensors, {}), Error);
  EXPECT_TRUE(tensors_of(module_).at("first.weight").equal(at::zeros({2, 3})));
}

TEST_F(Load, ReportsWhatWasAllowedToBeMissingOrUnexpected) {
  NamedTensors tensors = whole();
  tensors.erase("scale");
  tensors["third"] = at::ones({1});
  const LoadReport report = load_into(module_, tensors, {.allow_missing = true, .allow_unexpected = true});
  EXPECT_EQ(report.missing, (std::vector<std::string>{"scale"}));
  EXPECT_EQ(report.unexpected, (std::vector<std::string>{"third"}));
}

}  // namespace
}  // namespace microemo::checkpoint
