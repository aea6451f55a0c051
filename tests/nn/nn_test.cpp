#include <cmath>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "microemo/nn/attention.h"
#include "microemo/nn/init.h"
#include "microemo/nn/loss.h"
#include "microemo/nn/rotary.h"
#include "support/errors.h"

namespace microemo::nn {
namespace {

using test::expect_error;

TEST(LinearCrossEntropy, EqualsAtenWhateverTheChunk) {
  at::Tensor hidden = at::randn({37, 8}).requires_grad_(), weight = at::randn({19, 8}).requires_grad_();
  at::Tensor labels = at::randint(0, 19, {37}, at::kLong);
  labels.slice(0, 3, 11).fill_(ignored_label);
  const at::Tensor expected = at::cross_entropy_loss(at::mm(hidden, weight.t()), labels, {}, at::Reduction::Sum, ignored_label);
  expected.backward();
  const at::Tensor hidden_gradient = hidden.grad().clone(), weight_gradient = weight.grad().clone();
  for (int64_t chunk : {1, 5, 37, 1000}) {
    hidden.mutable_grad() = at::Tensor();
    weight.mutable_grad() = at::Tensor();
    const at::Tensor loss = linear_cross_entropy_sum(hidden, weight, labels, chunk);
    loss.backward();
    EXPECT_NEAR(loss.item<double>(), expected.item<double>(), 1e-4 * expected.item<double>());
    EXPECT_TRUE(at::allclose(hidden.grad(), hidden_gradient, 1e-4, 1e-5));
    EXPECT_TRUE(at::allclose(weight.grad(), weight_gradient, 1e-4, 1e-4));
  }
}

TEST(LinearCrossEntropy, IsZeroWithZeroGradientWhenNoLabelCounts) {
  at::Tensor hidden = at::randn({4, 8}).requires_grad_(), weight = at::randn({19, 8}).requires_grad_();
  const at::Tensor loss = linear_cross_entropy_sum(hidden, weight, at::full({4}, ignored_label, at::kLong));
  loss.backward();
  EXPECT_EQ(loss.item<double>(), 0);
  EXPECT_EQ(hidden.grad().abs().sum().item<double>(), 0);
}

TEST(LinearCrossEntropy, GivesNoGradientToAFrozenHead) {
  at::Tensor hidden = at::randn({4, 8}).requires_grad_(), weight = at::randn({19, 8});
  linear_cross_entropy_sum(hidden, weight, at::tensor({1, 2, 3, 4}, at::kLong)).backward();
  EXPECT_TRUE(hidden.grad().defined());
  EXPECT_FALSE(weight.grad().defined());
}

TEST(LinearCrossEntropy, RefusesLabelsOfAnotherLength) {
  expect_error(
      ErrorKind::internal,
      [] {
        linear_cross_entropy_sum(at::zeros({4, 8}), at::zeros({19, 8}), at::zeros({5}, at::kLong));
      },
      "do not fit");
}

TEST(AdditiveMask, ARowThatSeesNothingStaysFinite) {
  const Attention attention({.width = 8, .heads = 2});
  const at::Tensor mask = additive_mask(at::zeros({1, 1, 3, 5}, at::kBool));
  EXPECT_TRUE(at::scaled_dot_product_attention(at::randn({1, 1, 3, 4}), at::randn({1, 1, 5, 4}), at::randn({1, 1, 5, 4}), mask)
                  .isfinite()
                  .all()
                  .item<bool>());
}

TEST(Attention, RefusesHeadsThatDoNotDivideTheWidth) {
  expect_error(
      ErrorKind::config, [] { Attention attention({.width = 10, .heads = 3}); }, "10 channels");
}

TEST(Rotary, KeepsLengthsAndTurnsByRelativePosition) {
  const RotaryTable table = rotary_table(32, 8, 10000);
  const at::Tensor query = at::randn({1, 1, 1, 8}), key = at::randn({1, 1, 1, 8});
  const auto product = [&](int64_t q, int64_t k) {
    return (apply_rotary(query, table, q) * apply_rotary(key, table, k)).sum().item<double>();
  };
  EXPECT_NEAR(product(3, 1), product(20, 18), 1e-5);
  EXPECT_NEAR(apply_rotary(query, table, 17).norm().item<double>(), query.norm().item<double>(), 1e-5);
}

TEST(Rotary, RefusesAPositionBeyondItsTable) {
  expect_error(
      ErrorKind::internal,
      [] {
        apply_rotary(at::zeros({1, 1, 3, 8}), rotary_table(4, 8, 10000), 2);
      },
      "position 4");
}

TEST(Rotary, RefusesAnOddHeadWidth) {
  expect_error(
      ErrorKind::internal, [] { rotary_table(4, 7, 10000); }, "even head width");
}

class Named : public torch::nn::Module {
 public:
  explicit Named(bool more) {
    if (more) register_module("other", std::make_shared<Linear>(64, 64));
    register_module("linear", std::make_shared<Linear>(400, 300));
    register_module("zero_output", std::make_shared<Linear>(4, 4));
    register_module("norm", std::make_shared<LayerNorm>(4));
  }
};

TEST(Initialise, DependsOnSeedAndNameAlone) {
  Named first(false), second(true), other_seed(false);
  initialise(first, 5);
  initialise(second, 5);
  initialise(other_seed, 6);
  EXPECT_TRUE(at::equal(first.named_parameters()["linear.weight"], second.named_parameters()["linear.weight"]));
  EXPECT_FALSE(at::equal(first.named_parameters()["linear.weight"], other_seed.named_parameters()["linear.weight"]));
}

TEST(Initialise, HasTheStatedDeviationAndZeros) {
  Named module(false);
  initialise(module, 5);
  const auto parameters = module.named_parameters();
  const double cut_normal_deviation = 0.8796;  // of a standard normal cut at two deviations
  EXPECT_NEAR(parameters["linear.weight"].std().item<double>(), 0.7 / std::sqrt(400.0) * cut_normal_deviation, 2e-4);
  EXPECT_LE(parameters["linear.weight"].abs().max().item<double>(), 2 * 0.7 / std::sqrt(400.0) + 1e-9);
  EXPECT_EQ(parameters["linear.bias"].abs().sum().item<double>(), 0);
  EXPECT_EQ(parameters["zero_output.weight"].abs().sum().item<double>(), 0);
  EXPECT_EQ(parameters["norm.weight"].sum().item<double>(), 4);
}

}  // namespace
}  // namespace microemo::nn
