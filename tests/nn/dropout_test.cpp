#include "microemo/nn/dropout.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "microemo/checkpoint/tensor_source.h"
#include "microemo/nn/attention.h"
#include "microemo/nn/init.h"
#include "microemo/nn/linear.h"
#include "support/errors.h"

namespace microemo::nn {
namespace {

const DropoutKeys two_rows(std::vector<uint64_t>{3, ~uint64_t{0}});

TEST(Dropout, DrawsTheMasksOfItsDescription) {
  const checkpoint::TensorSource recorded(MICROEMO_SOURCE_DIR "/tests/data/dropout.safetensors");
  EXPECT_TRUE(dropout(at::ones({2, 3, 2, 5}), 0.3, two_rows).equal(recorded.tensor("mask")));
}

TEST(Dropout, KeepsTheStatedPartAndTheMean) {
  const at::Tensor y = dropout(at::ones({2, 1000, 101}), 0.25, two_rows);
  EXPECT_NEAR(y.eq(0).to(at::kDouble).mean().item<double>(), 0.25, 0.004);
  EXPECT_NEAR(y.mean().item<double>(), 1, 0.006);
  EXPECT_TRUE(y.ne(0).logical_and(y.ne(float(1 / 0.75))).sum().item<int64_t>() == 0);
  const at::Tensor dropped = y.eq(0).to(at::kDouble) - 0.25, next = dropped.slice(2, 1), same = dropped.slice(2, 0, 100);
  EXPECT_NEAR((next * same).mean().item<double>(), 0, 0.002);  // neighbours are independent
  EXPECT_NEAR((dropped[0] * dropped[1]).mean().item<double>(), 0, 0.003);
}

TEST(Dropout, DoesNothingWithoutKeysOrProbability) {
  const at::Tensor x = at::rand({2, 3});
  EXPECT_TRUE(dropout(x, 0.5, {}).is_same(x));
  EXPECT_TRUE(dropout(x, 0, two_rows).is_same(x));
  EXPECT_TRUE(drop_rows(x, 0.5, {}).is_same(x));
}

TEST(Dropout, TheGradientHasTheMaskOfTheOutput) {
  const at::Tensor x = at::rand({2, 4, 9}).add_(1).requires_grad_(true);
  const at::Tensor y = dropout(x, 0.4, two_rows);
  y.sum().backward();
  EXPECT_TRUE(at::allclose(x.grad() * x.detach(), y.detach()));
}

TEST(Dropout, ANumbersMaskDependsOnItsRowAndIndicesAlone) {
  const at::Tensor wide = dropout(at::ones({2, 7, 6}), 0.5, two_rows);
  EXPECT_TRUE(dropout(at::ones({2, 4, 5}), 0.5, two_rows).equal(wide.slice(1, 0, 4).slice(2, 0, 5)));
  EXPECT_TRUE(dropout(at::ones({1, 7, 6}), 0.5, two_rows.rows_at(at::ones({1}, at::kLong))).equal(wide.slice(0, 1)));
  EXPECT_TRUE(dropout(at::ones({14, 6}), 0.5, two_rows.parts(7)).view({2, 7, 6}).equal(wide));
}

TEST(Dropout, PlacesHaveMasksOfTheirOwn) {
  const at::Tensor x = at::ones({2, 64});
  EXPECT_FALSE(dropout(x, 0.5, two_rows.at(0)).equal(dropout(x, 0.5, two_rows.at(1))));
  EXPECT_FALSE(dropout(x, 0.5, two_rows.at(0).at(1)).equal(dropout(x, 0.5, two_rows.at(1).at(0))));
  EXPECT_NE(dropout_key(1, {2, 3}), dropout_key(1, {3, 2}));
  EXPECT_NE(dropout_key(1, {2}), dropout_key(2, {2}));
}

TEST(Dropout, RefusesAnotherNumberOfKeys) {
  test::expect_error(
      ErrorKind::internal,
      [] {
        dropout(at::ones({3, 4}), 0.5, two_rows);
      },
      "2 keys for the dropout of 3 rows");
  test::expect_error(
      ErrorKind::internal,
      [] {
        drop_rows(at::ones({1, 4}), 0.5, two_rows);
      },
      "2 keys for the dropout of 1 rows");
}

TEST(Dropout, WholeRowsAreDroppedOrScaled) {
  std::vector<uint64_t> keys;
  for (uint64_t row = 0; row < 4000; ++row) keys.push_back(dropout_key(9, {row}));
  const at::Tensor y = drop_rows(at::ones({4000, 3}), 0.2, DropoutKeys(keys));
  EXPECT_TRUE(y.select(1, 0).equal(y.select(1, 2)));
  EXPECT_NEAR(y.eq(0).to(at::kDouble).mean().item<double>(), 0.2, 0.02);
  EXPECT_FLOAT_EQ(y.max().item<float>(), 1.25f);
}

TEST(Dropout, AnAdapterAloneLosesItsInput) {
  Linear linear(6, 5, /*bias=*/false);
  linear.attach_lora(2, 4, 0.5);
  const at::NoGradGuard no_grad;
  initialise(linear, 1);
  const at::Tensor x = at::rand({2, 3, 6});
  EXPECT_TRUE(linear.forward(x, two_rows).equal(linear.forward(x)));  // lora_B is 0
  auto parameters = linear.named_parameters();
  parameters["lora_B"].fill_(1);
  const at::Tensor base = at::matmul(x, parameters["weight"].t());
  const at::Tensor adapted = at::matmul(dropout(x, 0.5, two_rows), parameters["lora_A"].t()).matmul(parameters["lora_B"].t());
  EXPECT_TRUE(at::allclose(linear.forward(x, two_rows), base + 2 * adapted, 1e-5, 1e-6));
}

TEST(Dropout, ABlockThatIsSkippedAddsNothing) {
  TransformerBlock block(BlockOptions{.attention = {.width = 8, .heads = 2}, .drop_path = 0.999999});
  initialise(block, 1);
  const at::Tensor x = at::rand({2, 3, 8});
  EXPECT_TRUE(block.forward(x, {}, two_rows).equal(x));
  EXPECT_FALSE(block.forward(x).equal(x));
}

}  // namespace
}  // namespace microemo::nn
