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

TEST(Activation, HasTheThreeFormsOfGelu) {
  const at::Tensor x = at::arange(-30, 31).to(at::kDouble) / 6;
  const at::Tensor exact = x * 0.5 * (1 + at::erf(x / std::sqrt(2.0)));
  const at::Tensor by_tanh = 0.5 * x * (1 + at::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x.pow(3))));
  EXPECT_TRUE(at::allclose(activate(Activation::gelu, x), exact, 1e-12, 1e-12));
  EXPECT_TRUE(at::allclose(activate(Activation::quick_gelu, x), x / (1 + at::exp(-1.702 * x)), 1e-12, 1e-12));
  EXPECT_TRUE(at::allclose(activate(Activation::gelu_new, x), by_tanh, 1e-12, 1e-12));
}

TEST(Attention, HasOnlyTheBiasesThatItIsAskedFor) {
  const Attention attention({.width = 8, .heads = 2, .memory_width = 6, .key_bias = false, .output_bias = false});
  const auto parameters = attention.named_parameters();
  EXPECT_EQ(parameters.size(), 6u);
  EXPECT_FALSE(parameters.contains("key.bias"));
  EXPECT_FALSE(parameters.contains("output.bias"));
  EXPECT_EQ(parameters["value.weight"].sizes(), at::IntArrayRef({8, 6}));
}

TEST(Attention, TheExtraKeyIsOneMoreTokenOfTheMemory) {
  const at::NoGradGuard no_grad;
  Attention extra({.width = 8, .heads = 2, .extra_key_value = true}), plain({.width = 8, .heads = 2});
  initialise(extra, 3);
  initialise(plain, 3);
  // A token of the memory whose key and value are the extra ones: both projections are the identity.
  for (Attention* attention : {&extra, &plain})
    for (const char* name : {"key.weight", "value.weight"}) attention->named_parameters()[name].copy_(at::eye(8));
  const at::Tensor token = at::randn({8}), x = at::randn({2, 3, 8}), memory = at::randn({2, 5, 8});
  for (const char* name : {"extra_key", "extra_value"}) extra.named_parameters()[name].copy_(token);
  const at::Tensor longer = at::cat({memory, token.expand({2, 1, 8})}, 1);
  EXPECT_TRUE(at::allclose(extra.forward(x, memory), plain.forward(x, longer), 1e-5, 1e-6));
}

TEST(Attention, TakesNoMaskBesideAnExtraKey) {
  const Attention attention({.width = 8, .heads = 2, .extra_key_value = true});
  const at::Tensor x = at::zeros({1, 3, 8});
  expect_error(
      ErrorKind::internal,
      [&] {
        attention.forward(x, x, at::zeros({3, 3}));
      },
      "takes no mask");
}

TEST(TransformerBlock, WithNormsBehindEndsInANorm) {
  TransformerBlock block({.attention = {.width = 8, .heads = 2}, .hidden = 12, .norms = NormPlace::after});
  initialise(block, 3);
  const at::Tensor out = block.forward(at::randn({2, 5, 8}));
  EXPECT_TRUE(at::allclose(out.mean(-1), at::zeros({2, 5}), 0, 1e-5));
  EXPECT_EQ(block.named_parameters()["mlp.up.weight"].sizes(), at::IntArrayRef({12, 8}));
}

TEST(QFormerLayer, TextHasItsOwnMlpWhereAskedFor) {
  QFormerLayer layer({.width = 8, .heads = 2, .looks = false, .text_mlp = true, .norms = NormPlace::after});
  initialise(layer, 3);
  const at::Tensor tokens = at::randn({1, 5, 8});
  const at::Tensor before = layer.forward(tokens, 2, {}, {}, {});
  {
    const at::NoGradGuard no_grad;
    layer.named_parameters()["text_mlp.down.bias"].fill_(3).slice(0, 0, 4).fill_(-1);
  }
  const at::Tensor after = layer.forward(tokens, 2, {}, {}, {});
  EXPECT_TRUE(before.slice(1, 0, 2).equal(after.slice(1, 0, 2)));
  EXPECT_FALSE(at::allclose(before.slice(1, 2), after.slice(1, 2)));
}

TEST(Embedding, ThePaddingRowGetsNoGradient) {
  Embedding table(4, 2, /*padding=*/1);
  initialise(table, 3);
  table.forward(at::tensor({0, 1, 3, 1}, at::kLong)).sum().backward();
  EXPECT_TRUE(table.weight().grad().select(1, 0).equal(at::tensor({1.0f, 0.0f, 0.0f, 1.0f})));
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
