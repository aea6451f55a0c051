#include "microemo/checkpoint/finite.h"

#include <cmath>
#include <limits>

#include <ATen/ops/arange.h>
#include <ATen/ops/complex.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include "checkpoint/support.h"
#include "microemo/checkpoint/tensors.h"

namespace microemo::checkpoint {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

class FiniteWeights : public testing::Test {
 protected:
  TensorSource written(const NamedTensors& tensors) const {
    write_tensors(folder_.path() / "weights.safetensors", tensors);
    return TensorSource(folder_.path() / "weights.safetensors");
  }
  TemporaryFolder folder_;
};

TEST_F(FiniteWeights, NumbersOfEveryTypePass) {
  NamedTensors tensors;
  for (const at::ScalarType type : {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16, at::kFloat8_e4m3fn, at::kFloat8_e5m2,
                                    at::kLong, at::kInt, at::kBool, at::kComplexFloat})
    tensors.emplace(c10::toString(type), at::arange(2, at::kFloat).to(type));
  tensors.emplace("largest", at::full({3}, std::numeric_limits<float>::max()));
  tensors.emplace("beyond float", at::full({3}, 1e300, at::kDouble));
  tensors.emplace("empty", at::zeros({0, 4}));
  EXPECT_TRUE(find_non_finite(written(tensors)).empty());
  EXPECT_NO_THROW(require_finite(written(tensors)));
}

TEST_F(FiniteWeights, CountsBothKindsInEveryFloatingPointType) {
  NamedTensors tensors;
  const at::Tensor values = at::tensor({1.0, nan, infinity, -infinity, 0.0}, at::kDouble);
  for (const at::ScalarType type : {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16, at::kFloat8_e5m2})
    tensors.emplace(c10::toString(type), values.to(type));
  const std::vector<NonFinite> found = find_non_finite(written(tensors));
  ASSERT_EQ(found.size(), tensors.size());
  for (const NonFinite& tensor : found) {
    EXPECT_EQ(tensor.not_a_number, 1) << tensor.name;
    EXPECT_EQ(tensor.infinite, 2) << tensor.name;
    EXPECT_EQ(tensor.elements, 5) << tensor.name;
  }
}

TEST_F(FiniteWeights, ATypeWithoutInfinitiesCountsItsNan) {
  const std::vector<NonFinite> found =
      find_non_finite(written({{"small", at::tensor({1.0, nan, 2.0}, at::kFloat).to(at::kFloat8_e4m3fn)}}));
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].not_a_number, 1);
  EXPECT_EQ(found[0].infinite, 0);
}

TEST_F(FiniteWeights, AComplexNumberCountsOnce) {
  const at::Tensor values =
      at::complex(at::tensor({nan, infinity, 1.0, 1.0}, at::kFloat), at::tensor({infinity, infinity, nan, 1.0}, at::kFloat));
  const std::vector<NonFinite> found = find_non_finite(written({{"c", values}}));
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].not_a_number, 2);
  EXPECT_EQ(found[0].infinite, 1);
}

TEST_F(FiniteWeights, FindsOneValueAtEitherEndOfALongTensor) {
  for (const int64_t place : {int64_t(0), (int64_t(1) << 20) - 1, int64_t(1) << 20, (int64_t(1) << 21) + 4}) {
    at::Tensor long_one = at::zeros({(int64_t(1) << 21) + 5}, at::kHalf);
    long_one[place] = nan;
    const std::vector<NonFinite> found = find_non_finite(written({{"long", long_one}}));
    ASSERT_EQ(found.size(), 1u) << place;
    EXPECT_EQ(found[0].not_a_number, 1) << place;
  }
}

TEST_F(FiniteWeights, TheErrorNamesTensorsCountsAndFile) {
  NamedTensors tensors{{"layers.0.weight", at::tensor({nan, nan, 1.0}, at::kFloat)}, {"good", at::zeros({2})}};
  test::expect_error(
      ErrorKind::checkpoint, [&] { require_finite(written(tensors)); },
      "1 of 2 tensors hold values that are no finite numbers:\n    layers.0.weight: 2 NaN, 0 infinite of 3");
  for (int i = 0; i < 20; ++i) tensors.emplace("t" + std::to_string(i), at::full({2}, infinity));
  test::expect_error(
      ErrorKind::checkpoint, [&] { require_finite(written(tensors)); }, "and 13 more");
}

}  // namespace
}  // namespace microemo::checkpoint
