// Work that is recorded and replayed, on a device that every machine has.
#include "microemo/nn/replay.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/rand.h>
#include <gtest/gtest.h>

#include "host_kernels.h"
#include "microemo/model/vit.h"
#include "microemo/nn/fused.h"
#include "microemo/nn/init.h"
#include "second_device.h"

namespace microemo::nn {
namespace {

class Replayed : public testing::Test {
 protected:
  Replayed() {
    set_device_kernels(&test::host_kernels());
    set_device_graphs(&test::second_device_graphs());
  }
  ~Replayed() override {
    set_device_kernels(nullptr);
    set_device_graphs(nullptr);
  }
  const at::Tensor weight_ = at::rand({8, 8}).to(test::second_device());

  at::Tensor work(const at::Tensor& x) {
    ++works_;
    return swiglu(at::mm(x, weight_).relu(), x + 1).sum(1);
  }
  at::Tensor run(Replay& replay, const at::Tensor& x) {
    return replay.run(x, [this](const at::Tensor& in) { return work(in); });
  }
  int works_ = 0;
};

TEST_F(Replayed, GivesWhatTheWorkGivesForEveryInput) {
  const at::NoGradGuard no_grad;
  Replay replay;
  const int64_t before = test::second_device_graph_runs();
  for (int i = 0; i < 7; ++i) {
    const at::Tensor x = at::rand({3, 8}).to(test::second_device());
    EXPECT_TRUE(run(replay, x).cpu().equal(work(x).cpu())) << i;
  }
  EXPECT_EQ(test::second_device_graph_runs() - before, 5);
  EXPECT_EQ(works_, 7 + 3) << "twice as it is, once recorded";
}

TEST_F(Replayed, WhatWasGivenStaysWhenTheNextInputComes) {
  const at::NoGradGuard no_grad;
  Replay replay;
  std::vector<at::Tensor> given, wanted;
  for (int i = 0; i < 5; ++i) {
    const at::Tensor x = at::rand({2, 8}).to(test::second_device());
    given.push_back(run(replay, x));
    wanted.push_back(work(x));
  }
  for (size_t i = 0; i < given.size(); ++i) EXPECT_TRUE(given[i].cpu().equal(wanted[i].cpu())) << i;
}

TEST_F(Replayed, ShapesAreRecordedApartAndNotWithoutEnd) {
  const at::NoGradGuard no_grad;
  Replay replay(2);
  const int64_t before = test::second_device_graph_runs();
  for (int round = 0; round < 4; ++round)
    for (const int64_t rows : {1, 2, 3}) {
      const at::Tensor x = at::rand({rows, 8}).to(test::second_device());
      EXPECT_TRUE(run(replay, x).cpu().equal(work(x).cpu()));
    }
  EXPECT_EQ(test::second_device_graph_runs() - before, 2 * 2) << "the third shape is computed as it is";
}

TEST_F(Replayed, NothingIsRecordedWithGradientsOrOnTheCpu) {
  Replay replay;
  const int64_t before = test::second_device_graph_runs();
  for (int i = 0; i < 5; ++i) run(replay, at::rand({2, 8}).to(test::second_device()));
  const at::NoGradGuard no_grad;
  for (int i = 0; i < 5; ++i) replay.run(at::rand({2, 8}), [](const at::Tensor& x) { return x + 1; });
  EXPECT_EQ(test::second_device_graph_runs(), before);
}

TEST_F(Replayed, WorkThatReadsANumberFails) {
  const at::NoGradGuard no_grad;
  Replay replay;
  const auto reads = [](const at::Tensor& x) { return x.sum().item<float>() > 0 ? x : x + 1; };
  const at::Tensor x = at::rand({2, 8}).to(test::second_device());
  replay.run(x, reads);
  replay.run(x, reads);
  EXPECT_ANY_THROW(replay.run(x, reads));
  EXPECT_NO_THROW(replay.run(x, reads)) << "it begins again, and nothing is being recorded";
  EXPECT_TRUE(run(replay, x).cpu().equal(work(x).cpu()));
}

TEST_F(Replayed, AFrozenPictureEncoderGivesTheSameTokens) {
  model::Vit vit({.picture_height = 32, .picture_width = 32, .width = 16, .layers = 2, .heads = 2, .class_token = true});
  initialise(vit, 5);
  for (at::Tensor& parameter : vit.parameters()) parameter.set_requires_grad(false);
  vit.to(test::second_device());
  const auto pictures = [](uint64_t i) { return at::rand({3, 3, 32, 32}).to(test::second_device()) * double(i); };
  std::vector<at::Tensor> inputs, wanted;
  for (uint64_t i = 0; i < 6; ++i) {
    inputs.push_back(pictures(i));
    wanted.push_back(vit.forward(inputs.back()).cpu());
  }
  vit.replay_shapes();
  const int64_t before = test::second_device_graph_runs();
  for (size_t i = 0; i < inputs.size(); ++i) EXPECT_TRUE(vit.forward(inputs[i]).cpu().equal(wanted[i])) << i;
  EXPECT_EQ(test::second_device_graph_runs() - before, 4);
}

TEST_F(Replayed, APictureEncoderThatLearnsIsNotRecorded) {
  model::Vit vit({.picture_height = 32, .picture_width = 32, .width = 16, .layers = 1, .heads = 2});
  initialise(vit, 5);
  vit.to(test::second_device());
  vit.replay_shapes();
  const int64_t before = test::second_device_graph_runs();
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(vit.forward(at::rand({1, 3, 32, 32}).to(test::second_device())).requires_grad());
  EXPECT_EQ(test::second_device_graph_runs(), before);
}

}  // namespace
}  // namespace microemo::nn
