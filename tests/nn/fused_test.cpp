#include "microemo/nn/fused.h"

#include <functional>
#include <limits>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "microemo/nn/init.h"
#include "microemo/nn/linear.h"
#include "microemo/nn/rotary.h"

namespace microemo::nn {
namespace {

using Inputs = std::vector<at::Tensor>;
using Formula = std::function<at::Tensor(const Inputs&)>;

/// Output and gradients, of a loss whose derivative differs from place to place.
Inputs output_and_gradients(const Formula& formula, const Inputs& inputs) {
  const at::Tensor out = formula(inputs);
  const at::Tensor slope = at::arange(out.numel(), at::kDouble).cos().to(out.scalar_type()).view(out.sizes());
  Inputs result = torch::autograd::grad({out}, inputs, {slope});
  result.push_back(out.detach());
  return result;
}

/// Both formulas agree in output and gradients within the rounding of fp32, the second computed in double.
void expect_same(const Formula& actual, const Formula& expected, const Inputs& inputs) {
  Inputs doubles;
  for (const at::Tensor& t : inputs) doubles.push_back(t.detach().to(at::kDouble).requires_grad_(true));
  const Inputs got = output_and_gradients(actual, inputs), wanted = output_and_gradients(expected, doubles);
  for (size_t i = 0; i < got.size(); ++i)
    EXPECT_TRUE(at::allclose(got[i].to(at::kDouble), wanted[i], 2e-6, 2e-6 * wanted[i].abs().max().item<double>()))
        << "tensor " << i << " of " << inputs[0].sizes();
  const at::NoGradGuard no_grad;
  EXPECT_TRUE(actual(inputs).equal(got.back()));
}

at::Tensor random(at::IntArrayRef shape) { return at::randn(shape).requires_grad_(true); }

at::Tensor plain_rms_norm(const Inputs& in) { return in[0] / (in[0].square().mean(-1, true) + 1e-5).sqrt() * in[1]; }

at::Tensor plain_rotary(const at::Tensor& x_BHLE, const RotaryTable& table, int64_t first) {
  const int64_t half = x_BHLE.size(3) / 2, length = x_BHLE.size(2);
  const auto rows = [&](const at::Tensor& t) { return t.slice(0, first, first + length).to(x_BHLE.scalar_type()); };
  return x_BHLE * rows(table.cos_PE) + at::cat({-x_BHLE.slice(3, half), x_BHLE.slice(3, 0, half)}, 3) * rows(table.sin_PE);
}

TEST(RmsNorm, EqualsItsFormulaWhateverTheWidth) {
  for (const int64_t width : {3, 7, 8, 11, 16, 40, 129})
    expect_same([](const Inputs& in) { return rms_norm(in[0], in[1], 1e-5); }, plain_rms_norm,
                {random({2, 3, width}), random({width})});
}

TEST(RmsNorm, TakesRowsThatDoNotLieBehindEachOther) {
  expect_same([](const Inputs& in) { return rms_norm(in[0].transpose(0, 1), in[1], 1e-5); },
              [](const Inputs& in) {
                return plain_rms_norm({in[0].transpose(0, 1), in[1]});
              },
              {random({3, 2, 24}), random({24})});
}

TEST(RmsNorm, AFrozenWeightGetsNoGradient) {
  const at::Tensor x = random({5, 16}), weight = at::rand({16});
  rms_norm(x, weight, 1e-5).sum().backward();
  EXPECT_TRUE(x.grad().defined());
  EXPECT_FALSE(weight.grad().defined());
}

TEST(RmsNorm, OfNoRowsIsEmpty) {
  EXPECT_EQ(rms_norm(at::empty({0, 4, 16}), at::ones({16}), 1e-5).sizes(), at::IntArrayRef({0, 4, 16}));
}

TEST(Swiglu, EqualsItsFormulaWhateverTheSize) {
  for (const int64_t width : {1, 5, 8, 24, 31, 70'001})
    expect_same([](const Inputs& in) { return swiglu(in[0], in[1]); },
                [](const Inputs& in) { return in[0] / (1 + (-in[0]).exp()) * in[1]; }, {random({2, width}), random({2, width})});
}

TEST(Swiglu, StaysFiniteForLargeGates) {
  const at::Tensor gate = at::tensor({-1e30f, -200.0f, -88.0f, 0.0f, 88.0f, 200.0f, 1e30f}).requires_grad_(true);
  const at::Tensor out = swiglu(gate, at::ones({7}));
  out.sum().backward();
  EXPECT_TRUE(at::allclose(out, at::silu(gate), 1e-6, 1e-6));
  EXPECT_TRUE(at::allclose(gate.grad(), at::tensor({0.0f, 0.0f, 0.0f, 0.5f, 1.0f, 1.0f, 1.0f}), 1e-6, 1e-6));
}

TEST(Swiglu, HidesNoNumberThatIsNone) {
  const at::Tensor none = at::full({9}, std::numeric_limits<float>::quiet_NaN());
  EXPECT_TRUE(swiglu(none, at::ones({9})).isnan().all().item<bool>());
  EXPECT_TRUE(swiglu(at::ones({9}), none).isnan().all().item<bool>());
}

TEST(ApplyRotary, EqualsItsFormulaForEveryLayout) {
  const RotaryTable table = rotary_table(32, 32, 10000), narrow = rotary_table(32, 12, 10000);
  const auto heads = [](const at::Tensor& x_BLD) { return x_BLD.unflatten(-1, {3, -1}).transpose(1, 2); };
  for (const auto& [used, width] : {std::pair{&table, 96}, std::pair{&narrow, 36}})
    expect_same([&, t = used](const Inputs& in) { return apply_rotary(heads(in[0]), *t, 5); },
                [&, t = used](const Inputs& in) { return plain_rotary(heads(in[0]), *t, 5); }, {random({2, 7, width})});
  expect_same([&](const Inputs& in) { return apply_rotary(in[0], table, 0); },
              [&](const Inputs& in) { return plain_rotary(in[0], table, 0); }, {random({2, 3, 7, 32})});
}

TEST(Fused, TheNumberOfThreadsChangesNothing) {
  const int before = at::get_num_threads();
  const at::Tensor x = at::randn({300, 512}), weight = at::rand({512});
  const RotaryTable table = rotary_table(300, 64, 10000);
  const auto all = [&] {
    const at::Tensor heads = x.view({1, 300, 8, 64}).transpose(1, 2);
    return at::cat(
        {rms_norm(x, weight, 1e-5), swiglu(x, 2 * x), apply_rotary(heads, table, 0).transpose(1, 2).reshape({300, 512})});
  };
  at::set_num_threads(1);
  const at::Tensor one = all();
  at::set_num_threads(4);
  const at::Tensor four = all();
  at::set_num_threads(before);
  EXPECT_TRUE(one.equal(four));
}

TEST(Linear, WithAnAdapterEqualsItsFormula) {
  Linear linear(6, 5);
  linear.attach_lora(2, 8);
  initialise(linear, 3);
  const auto parameters = linear.named_parameters();
  const at::NoGradGuard no_grad;
  parameters["lora_B"].copy_(at::randn({5, 2}));
  const at::Tensor x = at::randn({2, 3, 6});
  const at::Tensor expected = x.matmul(parameters["weight"].t()) + parameters["bias"] +
                              4 * x.matmul(parameters["lora_A"].t()).matmul(parameters["lora_B"].t());
  EXPECT_TRUE(at::allclose(linear.forward(x), expected, 1e-5, 1e-6));
  EXPECT_EQ(linear.forward(x[0][0]).sizes(), at::IntArrayRef({5}));
}

TEST(Linear, AddedToASumHasTheGradientsOfBoth) {
  Linear linear(6, 5);
  linear.attach_lora(2, 8);
  initialise(linear, 3);
  linear.named_parameters()["weight"].requires_grad_(false);
  const at::Tensor sum = random({2, 4, 5}), x = random({2, 3, 6});
  const Inputs inputs{sum, x, linear.named_parameters()["lora_B"], linear.named_parameters()["bias"]};
  const Inputs actual = output_and_gradients([&](const Inputs&) { return linear.add_to(sum.slice(1, 1), x); }, inputs);
  const Inputs expected = output_and_gradients([&](const Inputs&) { return sum.slice(1, 1) + linear.forward(x); }, inputs);
  for (size_t i = 0; i < actual.size(); ++i) EXPECT_TRUE(at::allclose(actual[i], expected[i], 1e-5, 1e-6)) << i;
}

}  // namespace
}  // namespace microemo::nn
