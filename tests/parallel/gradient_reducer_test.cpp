#include "microemo/parallel/gradient_reducer.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>

#include "parallel/ranks.h"
#include "support/errors.h"

namespace microemo::parallel {
namespace {

using test::run_ranks;

constexpr double one_parameter_a_bucket = 1e-5;

/// Parameters of 6 numbers; the gradient of sum(p * c) is c.
std::vector<at::Tensor> parameters(size_t count) {
  std::vector<at::Tensor> made;
  for (size_t i = 0; i < count; ++i) made.push_back(at::arange(6, at::kFloat).view({2, 3}).requires_grad_(true));
  return made;
}

void expect_gradient(const at::Tensor& parameter, double value) {
  ASSERT_TRUE(parameter.grad().defined());
  EXPECT_TRUE(parameter.grad().eq(value).all().item<bool>()) << parameter.grad()[0][0].item<float>() << ", not " << value;
}

TEST(GradientReducer, OfOneProcessLeavesGradientsAsTheyAre) {
  GradientReducer reducer;
  reducer.last_pass();
  reducer.finish();
  EXPECT_TRUE(reducer.group().alone());
}

TEST(GradientReducer, SumsWhatAnyRankHasAndLeavesTheRestUntouched) {
  for (const double bucket_mb : {one_parameter_a_bucket, 1.0})
    run_ranks(3, [&](Group& group) {
      const auto own = parameters(4);
      GradientReducer reducer(group, own, bucket_mb);
      for (int step = 0; step < 3; ++step) {
        for (const at::Tensor& one : own) one.mutable_grad() = at::Tensor();
        // Rank 0 uses none, rank 1 the first and the second, rank 2 the first alone; nobody uses the last two.
        if (group.rank() > 0) {
          at::Tensor loss = (own[0] * double(group.rank())).sum();
          if (group.rank() == 1) loss = loss + (own[1] * 5.0).sum();
          reducer.last_pass();
          loss.backward();
        }
        reducer.finish();
        expect_gradient(own[0], 3);
        expect_gradient(own[1], 5);
        EXPECT_FALSE(own[2].grad().defined());
        EXPECT_FALSE(own[3].grad().defined());
      }
    });
}

TEST(GradientReducer, AddsUpOverThePassesOfAStep) {
  run_ranks(2, [](Group& group) {
    const auto own = parameters(2);
    GradientReducer reducer(group, own, one_parameter_a_bucket);
    // Rank 1 has one pass more, and its last does not touch the second parameter.
    (own[0] + own[1] * 2.0).sum().backward();
    if (group.rank() == 1) (own[0] * 10.0).sum().backward();
    reducer.last_pass();
    (own[0] * 100.0).sum().backward();
    reducer.finish();
    expect_gradient(own[0], 1 + 1 + 10 + 100 + 100);
    expect_gradient(own[1], 4);
  });
}

TEST(GradientReducer, SendsInOneOrderThoughGradientsArriveInAnother) {
  run_ranks(2, [](Group& group) {
    const auto own = parameters(6);
    GradientReducer reducer(group, own, one_parameter_a_bucket);
    for (int step = 0; step < 5; ++step) {
      for (const at::Tensor& one : own) one.mutable_grad() = at::Tensor();
      at::Tensor value = at::full({2, 3}, 1.0f);
      // A chain: the parameter that is multiplied last gets its gradient first.
      for (size_t i = 0; i < own.size(); ++i) value = value + own[group.rank() == 0 ? i : own.size() - 1 - i] * double(i + 1);
      reducer.last_pass();
      value.sum().backward();
      reducer.finish();
      for (const at::Tensor& one : own) expect_gradient(one, 7);
    }
  });
}

/// A pass inside the pass, as recomputed blocks make it: the gradient of a parameter that two of them share comes in two parts.
TEST(GradientReducer, AGradientThatComesInPartsIsWhole) {
  run_ranks(2, [](Group& group) {
    const auto own = parameters(3);
    GradientReducer reducer(group, own, one_parameter_a_bucket);
    for (int step = 0; step < 3; ++step) {
      for (const at::Tensor& one : own) one.mutable_grad() = at::Tensor();
      reducer.last_pass();
      for (int part = 0; part < 2; ++part) (own[2] * 2.0 + own[1]).sum().backward();
      if (group.rank() == 0) own[0].sum().backward();
      reducer.finish();
      expect_gradient(own[2], 8);
      expect_gradient(own[1], 4);
      expect_gradient(own[0], 1);
    }
  });
}

TEST(GradientReducer, LeavesNoHooksBehind) {
  run_ranks(2, [](Group& group) {
    const auto own = parameters(1);
    { GradientReducer reducer(group, own, 1); }
    own[0].sum().backward();
    expect_gradient(own[0], 1);
  });
}

}  // namespace
}  // namespace microemo::parallel
