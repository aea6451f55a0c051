// What the kernels of the GPU compute, run by the CPU behind the same functions, against the CPU's own way.
#include <ATen/ops/arange.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/silu.h>
#include <gtest/gtest.h>

#include "host_kernels.h"
#include "microemo/nn/dropout.h"
#include "microemo/nn/frozen_weight.h"
#include "microemo/nn/fused.h"
#include "microemo/nn/loss.h"
#include "microemo/nn/rotary.h"
#include "second_device.h"

namespace microemo::nn {
namespace {

double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.cpu().to(at::kDouble) - b.cpu().to(at::kDouble)).abs().max().item<double>();
}

class Kernels : public testing::Test {
 protected:
  Kernels() {
    set_device_kernels(&test::host_kernels());
    test::host_kernel_calls();
  }
  ~Kernels() override { set_device_kernels(nullptr); }

  /// f(x) and the gradients of weighted sums of it to x, on a device.
  template <class Function>
  static std::vector<at::Tensor> value_and_gradients(const at::Device& device, const std::vector<at::Tensor>& inputs,
                                                     Function f) {
    std::vector<at::Tensor> leaves;
    for (const at::Tensor& input : inputs) leaves.push_back(input.clone().to(device).requires_grad_());
    const at::Tensor y = f(leaves);
    const at::Tensor weights = at::arange(y.numel(), at::kFloat).view(y.sizes()).sin().to(device, y.scalar_type());
    (y * weights).sum().backward();
    std::vector<at::Tensor> results{y.detach().cpu()};
    for (const at::Tensor& leaf : leaves) results.push_back(leaf.grad().cpu());
    return results;
  }

  template <class Function>
  static void expect_as_on_the_cpu(const std::vector<at::Tensor>& inputs, double tolerance, int calls, Function f) {
    const auto here = value_and_gradients(at::kCPU, inputs, f), there = value_and_gradients(test::second_device(), inputs, f);
    EXPECT_EQ(test::host_kernel_calls(), calls);
    ASSERT_EQ(here.size(), there.size());
    for (size_t i = 0; i < here.size(); ++i) {
      EXPECT_EQ(here[i].scalar_type(), there[i].scalar_type()) << i;
      const double size = std::max(1.0, largest_difference(here[i], here[i] * 0));
      EXPECT_LE(largest_difference(here[i], there[i]), tolerance * size) << i;
    }
  }
};

TEST_F(Kernels, DropoutDropsTheNumbersThatTheCpuDrops) {
  for (const std::vector<int64_t>& shape :
       std::vector<std::vector<int64_t>>{{5}, {5, 1}, {5, 8}, {5, 3, 7}, {5, 2, 3, 4}, {5, 1, 2, 3, 9}}) {
    SCOPED_TRACE(at::IntArrayRef(shape).vec().size());
    const DropoutKeys keys(std::vector<uint64_t>{3, 1ull << 63, 0, ~0ull, 12345});
    expect_as_on_the_cpu({at::rand(shape) + 0.1}, 0, 2, [&](const auto& x) { return dropout(x[0], 0.3, keys); });
  }
}

TEST_F(Kernels, DropoutOfBf16DropsTheSameNumbers) {
  const DropoutKeys keys(std::vector<uint64_t>{1, 2, 3});
  const at::Tensor x = at::rand({3, 5, 8}).to(at::kBFloat16) + 0.1;
  expect_as_on_the_cpu({x}, 0, 2, [&](const auto& in) { return dropout(in[0], 0.5, keys); });
}

TEST_F(Kernels, DropoutOfNothingLaunchesNothing) {
  const DropoutKeys keys(std::vector<uint64_t>{1, 2});
  EXPECT_EQ(dropout(at::rand({2, 0}).to(test::second_device()), 0.5, keys).numel(), 0);
  EXPECT_EQ(test::host_kernel_calls(), 0);
}

TEST_F(Kernels, RotaryTurnsAsTheCpu) {
  for (const int64_t width : {6, 16, 64}) {
    const RotaryTable table = rotary_table(20, width, 10000, {});
    for (const bool in_place_of_heads : {true, false}) {
      const auto turn = [&](const std::vector<at::Tensor>& x) {
        return apply_rotary(in_place_of_heads ? x[0].transpose(1, 2) : x[0], table, 3);
      };
      expect_as_on_the_cpu({at::randn(in_place_of_heads ? at::IntArrayRef{2, 7, 4, width} : at::IntArrayRef{2, 4, 7, width})},
                           2e-6, 2, turn);
    }
  }
}

TEST_F(Kernels, RotaryOfBf16RoundsOnce) {
  const RotaryTable table = rotary_table(9, 16, 10000, {});
  const at::Tensor x = at::randn({2, 9, 4, 16}).to(at::kBFloat16).transpose(1, 2);
  const RotaryTable rounded{table.cos_PE.to(at::kBFloat16).to(at::kFloat), table.sin_PE.to(at::kBFloat16).to(at::kFloat)};
  const at::Tensor wanted = apply_rotary(x.to(at::kFloat), rounded, 0).to(at::kBFloat16);
  EXPECT_TRUE(apply_rotary(x.to(test::second_device()), table, 0).cpu().equal(wanted));
}

TEST_F(Kernels, SwigluAndItsGradient) {
  expect_as_on_the_cpu({at::randn({5, 33}) * 8, at::randn({5, 33})}, 2e-6, 2, [](const auto& x) { return swiglu(x[0], x[1]); });
}

TEST_F(Kernels, SwigluOfBf16RoundsOnce) {
  const at::Tensor gate = at::randn({5, 33}).to(at::kBFloat16), up = at::randn({5, 33}).to(at::kBFloat16);
  const at::Tensor wanted = (at::silu(gate.to(at::kDouble)) * up.to(at::kDouble)).to(at::kBFloat16);
  const at::Tensor found = swiglu(gate.to(test::second_device()), up.to(test::second_device())).cpu();
  // Sums in fp32 may fall on the other side of a tie.
  EXPECT_LE(found.ne(wanted).sum().item<int64_t>(), 1);
}

TEST_F(Kernels, SwigluFarFromZeroIsFinite) {
  const at::Tensor gate = at::arange(-6, 7, at::kFloat) * 50, up = at::ones_like(gate);
  expect_as_on_the_cpu({gate, up}, 1e-6, 2, [](const auto& x) { return swiglu(x[0], x[1]); });
}

TEST_F(Kernels, CrossEntropyAndItsGradients) {
  for (const int64_t vocabulary : {3, 255, 256, 1000}) {
    const at::Tensor labels = at::randint(0, vocabulary, {11}, at::kLong);
    labels[4] = ignored_label;
    expect_as_on_the_cpu({at::randn({11, 16}) * 3, at::randn({vocabulary, 16})}, 2e-6, 3,
                         [&](const auto& x) { return linear_cross_entropy_sum(x[0], x[1], labels, 4); });
  }
}

TEST_F(Kernels, CrossEntropyOfLogitsFarApart) {
  const at::Tensor labels = at::arange(3, at::kLong);
  expect_as_on_the_cpu({at::eye(3) * 300, at::eye(3) * 300}, 1e-6, 1,
                       [&](const auto& x) { return linear_cross_entropy_sum(x[0], x[1], labels, 4); });
}

TEST_F(Kernels, CrossEntropyOfNotANumberIsNotANumber) {
  const at::Tensor hidden = at::randn({2, 4}).to(test::second_device()), weight = at::randn({5, 4}).to(test::second_device());
  hidden[0][0].fill_(std::nan(""));
  EXPECT_TRUE(std::isnan(linear_cross_entropy_sum(hidden, weight, at::arange(2, at::kLong)).item<float>()));
}

TEST_F(Kernels, WeightsOfNf4ThawToTheNumbersOfTheCpu) {
  const FrozenWeight here = frozen_weight(at::randn({7, 37}), FrozenDtype::nf4);
  const FrozenWeight there{here.kind, here.values.to(test::second_device()), here.scales.to(test::second_device()), here.out,
                           here.in};
  EXPECT_TRUE(thawed(there).cpu().equal(thawed(here)));
  EXPECT_TRUE(thawed(there, at::kBFloat16).cpu().equal(thawed(here).to(at::kBFloat16)));
  EXPECT_EQ(test::host_kernel_calls(), 2);
}

TEST_F(Kernels, NumbersOfDoubleWidthAreLeftToLibTorch) {
  const at::Tensor x = at::randn({2, 4}, at::kDouble).to(test::second_device());
  EXPECT_LE(largest_difference(swiglu(x, x), at::silu(x) * x), 1e-12);
  EXPECT_EQ(test::host_kernel_calls(), 0);
}

}  // namespace
}  // namespace microemo::nn
