#include "second_device.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/rand.h>
#include <gtest/gtest.h>

namespace microemo::test {
namespace {

TEST(SecondDevice, ComputesTheBitsOfTheCpu) {
  const at::Tensor a = at::rand({5, 7}), b = at::rand({7, 3});
  const at::Tensor here = (at::mm(a, b) + 1).sin().sum(1);
  const at::Tensor there = (at::mm(a.to(second_device()), b.to(second_device())) + 1).sin().sum(1);
  EXPECT_EQ(there.device(), second_device());
  EXPECT_TRUE(here.equal(there.cpu()));
}

TEST(SecondDevice, GivesGradientsOfLeavesOnIt) {
  const at::Tensor weight = at::rand({4, 3}), x = at::rand({6, 3});
  const auto gradient = [&](const at::Device& device) {
    const at::Tensor leaf = weight.clone().to(device).requires_grad_();
    at::linear(x.to(device), leaf).pow(2).sum().backward();
    return leaf.grad();
  };
  EXPECT_EQ(gradient(second_device()).device(), second_device());
  EXPECT_TRUE(gradient(at::kCPU).equal(gradient(second_device()).cpu()));
}

TEST(SecondDevice, RefusesToMixItsTensorsWithThoseOfTheCpu) {
  EXPECT_ANY_THROW(at::mm(at::rand({2, 2}).to(second_device()), at::rand({2, 2})));
  EXPECT_ANY_THROW(at::rand({2}).to(second_device()).index_select(0, at::arange(2)));
  EXPECT_ANY_THROW(at::rand({2}).to(second_device()).mul_(at::rand({2})));
}

TEST(SecondDevice, WorksInPlaceAndOnViews) {
  const at::Tensor here = at::arange(12, at::kFloat).view({3, 4}), there = here.clone().to(second_device());
  for (const at::Tensor& x : {here, there}) {
    x.slice(1, 1, 3).mul_(2).add_(1);
    x.select(0, 1).zero_();
  }
  EXPECT_TRUE(here.equal(there.cpu()));
}

TEST(SecondDevice, CountsNumbersThatAreRead) {
  const at::Tensor x = at::rand({3}).to(second_device());
  const int64_t before = second_device_waits();
  x.sum().item<float>();
  EXPECT_EQ(second_device_waits(), before + 1);
}

}  // namespace
}  // namespace microemo::test
