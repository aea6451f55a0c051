#include "microemo/train/flops.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <gtest/gtest.h>

namespace microemo::train {
namespace {

TEST(Flops, AProductTakesTwoForEachMultiplication) {
  FlopCounter counter;
  at::mm(at::ones({3, 4}), at::ones({4, 5}));
  EXPECT_EQ(counter.stop(), 2 * 3 * 4 * 5);
}

TEST(Flops, BatchesAndBiasesAreCounted) {
  FlopCounter counter;
  at::bmm(at::ones({7, 3, 4}), at::ones({7, 4, 5}));
  at::addmm(at::ones({5}), at::ones({3, 4}), at::ones({4, 5}));
  EXPECT_EQ(counter.stop(), 8 * 2 * 3 * 4 * 5);
}

TEST(Flops, ABackwardPassTakesTwiceTheForwardPass) {
  const at::Tensor x = at::ones({3, 4}).requires_grad_(), w = at::ones({4, 5}).requires_grad_();
  FlopCounter counter;
  at::mm(x, w).sum().backward();
  EXPECT_EQ(counter.stop(), 3 * 2 * 3 * 4 * 5);
}

TEST(Flops, AFrozenWeightTakesNoGradientOfItsOwn) {
  const at::Tensor x = at::ones({3, 4}).requires_grad_(), w = at::ones({4, 5});
  FlopCounter counter;
  at::mm(x, w).sum().backward();
  EXPECT_EQ(counter.stop(), 2 * 2 * 3 * 4 * 5);
}

TEST(Flops, AttentionTakesTwoProducts) {
  const at::Tensor query = at::ones({2, 3, 16, 8}), key = at::ones({2, 3, 20, 8});
  FlopCounter counter;
  at::scaled_dot_product_attention(query, key, key);
  EXPECT_EQ(counter.stop(), 2 * 2 * (2 * 3) * 16 * 20 * 8);
}

TEST(Flops, NothingIsCountedAfterTheEnd) {
  FlopCounter counter;
  counter.stop();
  at::mm(at::ones({3, 4}), at::ones({4, 5}));
  EXPECT_EQ(counter.stop(), 0);
}

}  // namespace
}  // namespace microemo::train
