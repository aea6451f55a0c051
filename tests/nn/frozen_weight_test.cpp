#include "microemo/nn/frozen_weight.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "microemo/checkpoint/tensor_source.h"
#include "microemo/nn/init.h"
#include "microemo/nn/linear.h"
#include "support/errors.h"

namespace microemo::nn {
namespace {

/// What tests/reference/frozen_weight.py wrote with bitsandbytes.
at::Tensor recorded(const std::string& name) {
  return checkpoint::TensorSource(MICROEMO_SOURCE_DIR "/tests/data/frozen_weight.safetensors").tensor(name).clone();
}

TEST(FrozenWeight, Int8HasTheBytesOfBitsandbytes) {
  const FrozenWeight frozen = frozen_weight(recorded("weight"), FrozenDtype::int8);
  EXPECT_TRUE(frozen.values.equal(recorded("int8.values")));
  EXPECT_TRUE(frozen.scales.equal(recorded("int8.scales")));
  EXPECT_TRUE(at::allclose(thawed(frozen), recorded("int8.weight"), 1e-6, 0));
}

TEST(FrozenWeight, Nf4HasTheBytesOfBitsandbytes) {
  const FrozenWeight frozen = frozen_weight(recorded("weight"), FrozenDtype::nf4);
  EXPECT_TRUE(frozen.values.equal(recorded("nf4.values")));
  EXPECT_TRUE(frozen.scales.equal(recorded("nf4.scales")));
  EXPECT_TRUE(at::allclose(thawed(frozen), recorded("nf4.weight"), 1e-6, 0));
}

TEST(FrozenWeight, OddSizesAndTiesAreWhole) {
  const at::Tensor odd = at::tensor({0.5f, -1.0f, 0.25f}).view({1, 3});
  const FrozenWeight frozen = frozen_weight(odd, FrozenDtype::nf4);
  EXPECT_EQ(frozen.values.numel(), 2);
  EXPECT_EQ(thawed(frozen).sizes(), odd.sizes());
  EXPECT_EQ(thawed(frozen)[0][1].item<float>(), -1.0f);
  EXPECT_TRUE(thawed(frozen_weight(at::zeros({2, 64}), FrozenDtype::nf4)).eq(0).all().item<bool>());
  EXPECT_TRUE(thawed(frozen_weight(at::zeros({2, 64}), FrozenDtype::int8)).eq(0).all().item<bool>());
}

class FrozenLinear : public testing::TestWithParam<FrozenDtype> {};

TEST_P(FrozenLinear, ComputesWithTheMatrixThatItKeeps) {
  Linear linear(37, 24);
  linear.attach_lora(3, 6);
  initialise(linear, 2);
  auto parameters = linear.named_parameters();
  for (auto& item : parameters) item.value().requires_grad_(item.key() != "weight");
  parameters["lora_B"].detach().fill_(0.1);
  const at::Tensor kept = thawed(frozen_weight(parameters["weight"], GetParam())), x = at::randn({2, 5, 37}).requires_grad_(true);
  const auto results = [&](const at::Tensor& y) {
    return torch::autograd::grad({(y * at::arange(y.numel()).cos().view(y.sizes())).sum()},
                                 {x, parameters["bias"], parameters["lora_A"], parameters["lora_B"]});
  };
  const at::Tensor wanted =
      at::linear(x, kept, parameters["bias"]) + 2 * at::linear(at::linear(x, parameters["lora_A"]), parameters["lora_B"]);
  linear.freeze(GetParam());
  const at::Tensor y = linear.forward(x);
  EXPECT_TRUE(at::allclose(y, wanted, 1e-5, 1e-5));
  const auto ours = results(y), theirs = results(wanted);
  for (size_t i = 0; i < ours.size(); ++i) EXPECT_TRUE(at::allclose(ours[i], theirs[i], 1e-4, 1e-5)) << i;
  EXPECT_TRUE(linear.add_to(wanted, x).allclose(wanted + y, 1e-5, 1e-5));
}

INSTANTIATE_TEST_SUITE_P(Kinds, FrozenLinear, testing::Values(FrozenDtype::bf16, FrozenDtype::int8, FrozenDtype::nf4));

TEST(FrozenLinear, KeepsItsBytesUnderTheNamesOfItsFile) {
  Linear linear(64, 8, /*bias=*/false);
  initialise(linear, 2);
  linear.named_parameters()["weight"].requires_grad_(false);
  linear.freeze(FrozenDtype::nf4);
  EXPECT_EQ(linear.named_parameters()["weight"].numel(), 256);
  EXPECT_EQ(linear.named_buffers()["weight_scales"].numel(), 8);
  linear.freeze(FrozenDtype::nf4);
  test::expect_error(
      ErrorKind::internal, [&] { linear.freeze(FrozenDtype::int8); }, "cannot be frozen otherwise");
}

TEST(FrozenLinear, RefusesATrainedWeight) {
  Linear linear(4, 4);
  linear.named_parameters()["weight"].requires_grad_(true);
  test::expect_error(
      ErrorKind::internal, [&] { linear.freeze(FrozenDtype::bf16); }, "trained cannot be frozen");
}

}  // namespace
}  // namespace microemo::nn
