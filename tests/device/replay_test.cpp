// Work that is recorded and replayed, on a device that every machine has.
#include "microemo/nn/replay.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rand.h>
#include <gtest/gtest.h>

#include "host_kernels.h"
#include "microemo/model/local_branch.h"
#include "microemo/model/sound_encoder.h"
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

TEST_F(Replayed, FrozenFacesGiveTheSameTokens) {
  model::LocalBranch branch({.patch = 8, .patch_features = 4, .heads = 2}, {.face_channels = 2, .face_side = 16}, 16);
  initialise(branch, 5);
  for (at::Tensor& parameter : branch.parameters()) parameter.set_requires_grad(false);
  branch.to(test::second_device());
  const at::Tensor times_BN = at::arange(3, at::kFloat).view({1, 3}), there_BN = at::ones({1, 3}, at::kBool);
  const auto faces = [](int64_t i) {
    return (at::rand({1, 3, 2, 16, 16}) * double(40 * i)).to(at::kByte).to(test::second_device());
  };
  std::vector<at::Tensor> inputs, wanted;
  for (int64_t i = 0; i < 6; ++i) {
    inputs.push_back(faces(i));
    wanted.push_back(branch.forward(inputs.back(), times_BN, there_BN, there_BN).cpu());
  }
  branch.replay_shapes();
  const int64_t before = test::second_device_graph_runs();
  for (size_t i = 0; i < inputs.size(); ++i)
    EXPECT_TRUE(branch.forward(inputs[i], times_BN, there_BN, there_BN).cpu().equal(wanted[i])) << i;
  EXPECT_EQ(test::second_device_graph_runs() - before, 4);
}

class ReplayedSound : public Replayed {
 protected:
  struct Owner : torch::nn::Module {};

  void build(model::AudioStyle style, double drop_path = 0) {
    options_ = {.style = style, .width = 16, .layers = 3, .heads = 2, .hidden = 32, .projection = 8, .wave_channels = 8};
    options_.drop_path = drop_path;
    sound_ = std::make_unique<model::SoundEncoder>(owner_, options_, model::InputShapes{.mel_bands = bands});
    initialise(owner_, 5);
    for (at::Tensor& parameter : owner_.parameters()) parameter.set_requires_grad(false);
    owner_.to(test::second_device());
  }
  /// Two clips of two pieces, of which one is padding.
  model::ClipBatch clips() const {
    model::ClipBatch batch;
    std::vector<int64_t> shape = {2, 2, 200, bands};
    if (options_.style == model::AudioStyle::hubert) shape = {2, 2, 3200};
    if (options_.style == model::AudioStyle::whisper) shape = {2, 2, bands, 3000};
    batch.pieces_BK = at::rand(shape).to(test::second_device());
    batch.piece_times_BK = at::arange(2, at::kFloat).expand({2, 2});
    batch.piece_mask_BK = at::ones({2, 2}, at::kBool);
    batch.piece_mask_BK[1][1] = false;
    batch.piece_s = 2;
    return batch;
  }
  /// Times that recorded work ran for four batches that gave what they give unrecorded.
  int64_t runs(const DropoutKeys& keys = {}) {
    std::vector<model::ClipBatch> batches;
    std::vector<at::Tensor> wanted;
    for (int i = 0; i < 4; ++i) {
      batches.push_back(clips());
      wanted.push_back(sound_->forward(batches.back(), keys).tokens_BTPM.detach().cpu());
    }
    sound_->replay_shapes();
    const int64_t before = test::second_device_graph_runs();
    for (size_t i = 0; i < batches.size(); ++i)
      EXPECT_TRUE(sound_->forward(batches[i], keys).tokens_BTPM.detach().cpu().equal(wanted[i])) << i;
    return test::second_device_graph_runs() - before;
  }

  static constexpr int64_t bands = 128;
  Owner owner_;
  model::AudioBranchOptions options_;
  std::unique_ptr<model::SoundEncoder> sound_;
};

TEST_F(ReplayedSound, OfImageBindIsTheSame) {
  build(model::AudioStyle::imagebind);
  EXPECT_EQ(runs(), 2);
}
TEST_F(ReplayedSound, OfHubertIsTheSame) {
  build(model::AudioStyle::hubert);
  EXPECT_EQ(runs(), 2);
}
TEST_F(ReplayedSound, OfWhisperIsTheSame) {
  build(model::AudioStyle::whisper);
  EXPECT_EQ(runs(), 2);
}
TEST_F(ReplayedSound, IsNotRecordedWhereItDropsPathsOrLearns) {
  build(model::AudioStyle::imagebind, /*drop_path=*/0.5);
  EXPECT_EQ(runs(DropoutKeys(std::vector<uint64_t>{1, 2})), 0);
  owner_.parameters().front().set_requires_grad(true);
  EXPECT_EQ(runs(), 0);
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
