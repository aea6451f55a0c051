#include "microemo/nn/recompute.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "microemo/nn/attention.h"
#include "microemo/nn/init.h"

namespace microemo::nn {
namespace {

class Recompute : public testing::Test {
 protected:
  Recompute() {
    initialise(block_, 5);
    for (at::Tensor& parameter : block_.parameters()) parameter.requires_grad_(true);
  }

  std::function<at::Tensor(const at::Tensor&)> counted() {
    return [this](const at::Tensor& x) {
      ++calls_;
      return block_.forward(x, {}, keys_);
    };
  }

  /// Output, the input's gradient where it has one, and those of all parameters.
  std::vector<at::Tensor> results(const at::Tensor& y, const at::Tensor& x) {
    for (at::Tensor& parameter : block_.parameters()) parameter.mutable_grad() = at::Tensor();
    x.mutable_grad() = at::Tensor();
    (y * at::arange(y.numel()).cos().view(y.sizes())).sum().backward();
    std::vector<at::Tensor> all{y.detach(), x.grad()};
    for (const at::Tensor& parameter : block_.parameters()) all.push_back(parameter.grad());
    return all;
  }

  void expect_the_same(const at::Tensor& x) {
    const auto plain = results(block_.forward(x, {}, keys_), x),
               again = results(recomputed(counted(), x, block_.parameters()), x);
    ASSERT_EQ(plain.size(), again.size());
    for (size_t i = 0; i < plain.size(); ++i) {
      ASSERT_EQ(plain[i].defined(), again[i].defined()) << i;
      EXPECT_TRUE(!plain[i].defined() || plain[i].equal(again[i])) << i;
    }
  }

  TransformerBlock block_{BlockOptions{.attention = {.width = 8, .heads = 2}, .drop_path = 0.5}};
  DropoutKeys keys_;
  int calls_ = 0;
};

TEST_F(Recompute, GivesTheSameBits) {
  expect_the_same(at::rand({3, 4, 8}).requires_grad_(true));
  EXPECT_EQ(calls_, 2);
}

TEST_F(Recompute, GivesTheSameBitsWithDropout) {
  keys_ = DropoutKeys({1, 2, 3});
  expect_the_same(at::rand({3, 4, 8}).requires_grad_(true));
}

TEST_F(Recompute, TrainsABlockWhoseInputNeedsNoGradient) {
  const at::Tensor x = at::rand({3, 4, 8});
  expect_the_same(x);
  EXPECT_FALSE(x.grad().defined());
  EXPECT_TRUE(block_.parameters()[0].grad().defined());
}

TEST_F(Recompute, LeavesFrozenParametersAlone) {
  block_.parameters()[0].requires_grad_(false);
  expect_the_same(at::rand({3, 4, 8}).requires_grad_(true));
  EXPECT_FALSE(block_.parameters()[0].grad().defined());
}

TEST_F(Recompute, ComputesOnceWithoutGradients) {
  const at::Tensor x = at::rand({3, 4, 8});
  {
    const at::NoGradGuard no_grad;
    EXPECT_TRUE(recomputed(counted(), x, block_.parameters()).equal(block_.forward(x)));
  }
  for (at::Tensor& parameter : block_.parameters()) parameter.requires_grad_(false);
  EXPECT_FALSE(recomputed(counted(), x, block_.parameters()).requires_grad());
  EXPECT_EQ(calls_, 2);
}

TEST_F(Recompute, OneInAnotherAndOneBehindAnother) {
  const at::Tensor x = at::rand({3, 4, 8}).requires_grad_(true);
  const auto inner = [&](const at::Tensor& t) { return recomputed(counted(), t, block_.parameters()); };
  const auto plain = results(block_.forward(block_.forward(block_.forward(x))), x);
  const at::Tensor nested = recomputed([&](const at::Tensor& t) { return inner(inner(t)); }, x, block_.parameters());
  const auto again = results(recomputed(counted(), nested, block_.parameters()), x);
  for (size_t i = 0; i < plain.size(); ++i) EXPECT_TRUE(at::allclose(plain[i], again[i], 1e-5, 1e-6)) << i;
}

TEST_F(Recompute, TheErrorOfABlockComesThrough) {
  bool first = true;
  const auto failing = [&](const at::Tensor& x) {
    if (!first) throw std::runtime_error("the second time it fails");
    first = false;
    return block_.forward(x);
  };
  const at::Tensor y = recomputed(failing, at::rand({1, 2, 8}).requires_grad_(true), block_.parameters());
  EXPECT_THROW(y.sum().backward(), std::runtime_error);
}

}  // namespace
}  // namespace microemo::nn
