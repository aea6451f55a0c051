// Ranks as threads: the same steps as one process, however many there are.
#include <atomic>
#include <limits>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/norm.h>
#include <ATen/ops/zeros.h>

#include "infer/tiny_model.h"
#include "microemo/base/workers.h"
#include "microemo/checkpoint/folder.h"
#include "microemo/train/load_run.h"
#include "microemo/train/microemo_task.h"
#include "parallel/ranks.h"
#include "train/support.h"
#include "train/train_ranks.h"

namespace microemo::train {
namespace {

namespace fs = std::filesystem;
using parallel::Group;

/// Gradients below this part of the largest norm are rounding alone (biases of keys, whose true gradient is 0).
constexpr double negligible = 1e-7;

struct Outcome {
  StepResult result;
  std::map<std::string, at::Tensor> gradients;
};

Outcome step_of(Group& group, const Task& task, int64_t step) {
  std::vector<at::Tensor> parameters;
  for (at::Tensor& parameter : task.module->parameters()) {
    parameter.mutable_grad() = at::Tensor();
    parameters.push_back(parameter);
  }
  parallel::GradientReducer reducer(group, parameters, 0.01);
  const StepResult result = forward_backward(task, task.batches(step), reducer);
  return {result, test::gradients_of(*task.module)};
}

void expect_equal(const Outcome& one, const Outcome& many) {
  EXPECT_NEAR(many.result.loss, one.result.loss, 1e-6 * one.result.loss);
  EXPECT_EQ(many.result.clips, one.result.clips);
  EXPECT_EQ(many.result.rows, one.result.rows);
  EXPECT_EQ(many.result.tokens, one.result.tokens);
  EXPECT_NEAR(many.result.movement_accuracy, one.result.movement_accuracy, 1e-12);
  EXPECT_LE(test::relative_distance(one.gradients, many.gradients), 5e-6);
  double largest = 0;
  for (const auto& [name, gradient] : one.gradients) largest = std::max(largest, gradient.norm().item<double>());
  ASSERT_EQ(one.gradients.size(), many.gradients.size());
  for (const auto& [name, gradient] : one.gradients) {
    if (gradient.norm().item<double>() < negligible * largest) continue;
    EXPECT_LE(test::relative_distance({{name, gradient}}, {{name, many.gradients.at(name)}}), 5e-6) << name;
  }
}

TEST(Ranks, ShareTheClipsOfAStepInOrder) {
  const std::vector<int64_t> clips = clips_of_step(7, 10, 7, 3);
  for (const int64_t world : {1, 2, 3, 4, 9}) {
    std::vector<int64_t> together;
    for (int64_t rank = 0; rank < world; ++rank) {
      const auto own = share_of(clips, {rank, world});
      EXPECT_LE(int64_t(own.size()), 7 / world + 1);
      together.insert(together.end(), own.begin(), own.end());
    }
    EXPECT_EQ(together, clips) << world;
  }
}

/// The model with every branch on clips that lack something: no sound, no face, no labels, and a batch smaller than the ranks.
class RankModel : public testing::Test {
 protected:
  RankModel() {
    tiny_.options.alignment = {.movement = 0.5, .window_movement = 0.3, .window_voice = 0.2, .none_weight = 0.3};
    options_.model = tiny_.options;
    options_.prepare = tiny_.prepare;
    options_.train = test::small_options(30);
    options_.train.learning_rate = 1e-3;
    options_.train.batch = 8;
    for (int64_t i = 0; i < 10; ++i) data_->samples.push_back(clip(i));
  }

  data::Sample clip(int64_t i) const {
    data::Utterance utterance = test::spoken(0.1, 0.5, i % 2 == 0 ? "This frame" : "is sampled at");
    utterance.labels = i % 3 == 0 ? std::vector<std::string>{"happy", "calm"} : std::vector<std::string>{"sad"};
    utterance.face = i % 4 == 0 ? "none" : "brow_up";
    utterance.voice = i % 2 == 0 ? "flat" : "lively";
    data::Sample sample = tiny_.clip(uint64_t(10 * i), 3 + i % 3, {utterance}, /*sound=*/i % 4 != 1);
    sample.index = i;
    if (i % 4 != 0) sample.clip.movements.push_back({"brow_up", 0.05, 0.15, 0.25, 0.1, 0});
    if (i % 4 == 2) sample.prepared.face_mask_N.fill_(false);
    return sample;
  }

  Task task(const Group& group = {}) const {
    const auto model = build_model(options_, *tiny_.tokenizer);
    spread_queries(*model);
    return microemo_task(options_, data_, tiny_.tokenizer, model, {group.rank(), group.world()});
  }

  /// As they are drawn, query tokens are so alike that the gradients of the attention between them are differences of almost
  /// equal numbers, which the rounding of another batch size alone moves by up to 5e-6.
  static void spread_queries(model::MicroEmo& model) {
    const at::NoGradGuard no_grad;
    int64_t spread = 0;
    for (auto& item : model.named_parameters())
      if (item.key().find("_qformer.queries") != std::string::npos) item.value().mul_(5), ++spread;
    EXPECT_EQ(spread, 5);
  }

  void compare(const std::vector<int64_t>& worlds) {
    Group alone;
    const Outcome one = step_of(alone, task(), 1);
    for (const int64_t world : worlds)
      test::run_ranks(world, [&](Group& group) { expect_equal(one, step_of(group, task(group), 1)); });
  }

  test::TinyModel tiny_;
  RunOptions options_;
  std::shared_ptr<TrainingData> data_ = std::make_shared<TrainingData>();
};

TEST_F(RankModel, TwoAndFourRanksComputeTheStepOfOne) {
  options_.train.micro_batch = 2;
  compare({2, 4});
}

TEST_F(RankModel, RanksWithoutAnyClipComputeTheStepOfOne) {
  options_.train.batch = 2;
  compare({4});
}

TEST_F(RankModel, RanksWithoutSoundFacesOrLabelsComputeTheStepOfOne) {
  options_.train.batch = 4;
  const auto clips = clips_of_step(0, 10, 4, 1);
  for (int64_t i = 0; i < 4; ++i) {
    data::Sample& sample = data_->samples[size_t(clips[size_t(i)])];
    if (i < 2) sample = tiny_.clip(uint64_t(100 + i), 4, sample.clip.utterances, /*sound=*/i == 1);
    sample.index = clips[size_t(i)];
    if (i == 1) sample.prepared.face_mask_N.fill_(false);
    if (i == 2) sample.clip.utterances[0].face = sample.clip.utterances[0].voice = "";
    if (i == 2) sample.clip.movements.clear();
  }
  compare({4});
}

TEST_F(RankModel, AllLabelsOfARankAreMasked) {
  options_.train.batch = 4;
  options_.train.micro_batch = 2;
  Group alone;
  // Rows of the second half are masked: those of rank 1.
  const auto second_half_masked = [](Task made, int64_t skip) {
    made.batches = [batches = made.batches, skip](int64_t step) {
      auto all = batches(step);
      for (size_t i = size_t(skip); i < all.size(); ++i) all[i].labels_RL.fill_(-100);
      return all;
    };
    return made;
  };
  const Outcome one = step_of(alone, second_half_masked(task(), 1), 1);
  test::run_ranks(
      2, [&](Group& group) { expect_equal(one, step_of(group, second_half_masked(task(group), group.first() ? 1 : 0), 1)); });
}

TEST_F(RankModel, ThirtyStepsGiveTheCurveOfOne) {
  TemporaryFolder folder;
  const auto train = [&](Group& group, const fs::path& run) {
    fs::create_directories(run);
    const auto shared = std::shared_ptr<Group>(&group, [](Group*) {});
    EXPECT_TRUE(Trainer(task(group), options_.train, run, {}, shared).run().finished);
  };
  Group alone;
  train(alone, folder.path() / "1");
  const auto one = test::timeless_metrics(folder.path() / "1");
  for (const int64_t world : {2, 4}) {
    const fs::path run = folder.path() / std::to_string(world);
    test::run_ranks(world, [&](Group& group) { train(group, run); });
    const auto many = test::timeless_metrics(run);
    ASSERT_EQ(many.size(), one.size());
    for (size_t i = 0; i < one.size(); ++i)
      EXPECT_NEAR(many[i].at("loss").get<double>(), one[i].at("loss").get<double>(), 1e-5 * one[i].at("loss").get<double>()) << i;
  }
}

class RankTraining : public testing::Test {
 protected:
  ~RankTraining() override { clear_stop_request(); }

  RunOutcome train(int64_t world, const fs::path& run, int64_t most_steps = 0, const fs::path& resume_from = {}) {
    return test::train_ranks(
        world, [this](const Group& group) { return task(group); }, options_, run, most_steps, resume_from);
  }
  virtual Task task(const Group& group) { return test::regression_task(4, 2, {group.rank(), group.world()}); }

  TrainOptions options_ = test::small_options(12);
  TemporaryFolder folder_;
};

TEST_F(RankTraining, GoesOnWithFewerRanks) {
  const fs::path whole = folder_.path() / "whole", parts = folder_.path() / "parts";
  train(1, whole);
  train(4, parts, 4);
  train(2, parts, 4, checkpoint::find_latest(parts)->path);
  EXPECT_TRUE(train(1, parts, 0, checkpoint::find_latest(parts)->path).finished);
  const auto one = test::timeless_metrics(whole), many = test::timeless_metrics(parts);
  ASSERT_EQ(many.size(), 12u);
  for (size_t i = 0; i < one.size(); ++i)
    EXPECT_NEAR(many[i].at("loss").get<double>(), one[i].at("loss").get<double>(), 1e-5 * one[i].at("loss").get<double>()) << i;
}

TEST_F(RankTraining, OfTheSameNumberGoesOnBitForBit) {
  const fs::path whole = folder_.path() / "whole", parts = folder_.path() / "parts";
  train(3, whole);
  train(3, parts, 5);
  train(3, parts, 0, checkpoint::find_latest(parts)->path);
  EXPECT_EQ(test::timeless_metrics(whole), test::timeless_metrics(parts));
  EXPECT_EQ(read_file(checkpoint::step_folder(whole, 12) / "model.safetensors"),
            read_file(checkpoint::step_folder(parts, 12) / "model.safetensors"));
}

TEST_F(RankTraining, BeginsOnlyWithTheSameWeights) {
  std::atomic<int> refused = 0;
  test::run_ranks(2, [&](Group& group) {
    const auto shared = std::shared_ptr<Group>(&group, [](Group*) {});
    const Task own = task(group);
    if (group.rank() == 1) own.module->parameters().front().detach().fill_(1);
    try {
      Trainer(own, options_, folder_.path(), {}, shared);
    } catch (const Error& error) {
      EXPECT_EQ(error.message(), "the weights of rank 1 is another than that of rank 0");
      ++refused;
    }
  });
  EXPECT_EQ(refused, 2);
}

class RankWithNothingFinite : public RankTraining {
  Task task(const Group& group) override {
    Task made = RankTraining::task(group);
    made.batches = [batches = made.batches, bad = group.rank() == 1](int64_t step) {
      auto all = batches(step);
      if (bad && step == 4) all[0].mel_BFM.fill_(std::numeric_limits<float>::quiet_NaN());
      return all;
    };
    return made;
  }
};

TEST_F(RankWithNothingFinite, EveryRankStopsAndNamesTheClipsOfTheOne) {
  const Error error = test::expect_error(
      ErrorKind::data, [&] { train(2, folder_.path()); }, "the loss of step 5 is not finite");
  const auto clips = share_of(clips_of_step(7, 10, 4, 4), {1, 2});
  EXPECT_EQ(error.place(), fmt::format("clips clip{}, clip{}", clips[0], clips[1]));
}

class RankThatIsToldToStop : public RankTraining {
  Task task(const Group& group) override {
    Task made = RankTraining::task(group);
    made.batches = [batches = made.batches, told = group.rank() == 1](int64_t step) {
      if (told && step == 4) request_stop();
      return batches(step);
    };
    return made;
  }
};

TEST_F(RankThatIsToldToStop, AllStopAtTheSameStep) {
  const RunOutcome outcome = train(2, folder_.path());
  EXPECT_FALSE(outcome.finished);
  EXPECT_EQ(outcome.step, 5);
  EXPECT_EQ(checkpoint::find_latest(folder_.path())->step, 5);
}

}  // namespace
}  // namespace microemo::train
