#include "microemo/train/average.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros.h>

#include "microemo/checkpoint/folder.h"
#include "train/support.h"

namespace microemo::train {
namespace {

namespace fs = std::filesystem;
using test::expect_error;

void fill(torch::nn::Module& module, double value) {
  const at::NoGradGuard no_grad;
  for (at::Tensor& parameter : module.parameters()) parameter.fill_(value);
}

TEST(WeightAverage, IsTheMovingAverageOfWhatWasSeen) {
  test::Regression module;
  fill(module, 1);
  WeightAverage average(module, 0.9);
  double expected = 1;
  for (const double value : {3.0, -2.0, 5.0}) {
    fill(module, value);
    average.update();
    expected = 0.9 * expected + 0.1 * value;
    for (const auto& [name, tensor] : average.state()) EXPECT_NEAR(tensor.flatten()[0].item<double>(), expected, 1e-6) << name;
  }
}

TEST(WeightAverage, HoldsTrainedParametersAlone) {
  test::Regression module;
  module.bias.set_requires_grad(false);
  EXPECT_THAT(WeightAverage(module, 0.5).state(), testing::SizeIs(2));
  EXPECT_TRUE(WeightAverage(module, 0).none());
}

TEST(WeightAverage, StandsInForTheWeightsAndGivesThemBack) {
  test::Regression module;
  WeightAverage average(module, 0.5);
  const at::Tensor first = module.weight.detach().clone();
  fill(module, 7);
  EXPECT_THROW(average.instead_of_weights([&] {
    EXPECT_TRUE(module.weight.equal(first));
    throw DataError("in the middle");
  }),
               Error);
  EXPECT_TRUE(module.weight.eq(7).all().item<bool>());
}

TEST(WeightAverage, RefusesAveragesOfAnotherModel) {
  test::Regression module;
  WeightAverage average(module, 0.5);
  const auto refused = [&](checkpoint::NamedTensors state, const std::string& part) {
    EXPECT_EQ(expect_error(
                  ErrorKind::checkpoint, [&] { average.load_state(state, "ema.safetensors"); }, part)
                  .place(),
              "ema.safetensors");
  };
  auto state = average.state();
  state["more"] = at::zeros({1});
  refused(state, "'more' has an average in the file and is not trained");
  state = average.state();
  state.erase("layer.bias");
  refused(state, "the file has no average of 'layer.bias'");
  state["layer.bias"] = at::zeros({4});
  refused(state, "the average of 'layer.bias' has another shape or type");
  state["layer.bias"] = at::zeros({3}, at::kDouble);
  refused(state, "the average of 'layer.bias' has another shape or type");
}

class AveragedRun : public testing::Test {
 protected:
  AveragedRun() { options_.ema = 0.8; }

  RunOutcome train(const fs::path& run, int64_t most_steps = 0, const fs::path& resume_from = {}) {
    fs::create_directories(run);
    Task task = test::regression_task(4, 2);
    task.validation_batches = 1;
    task.validation_batch = [](int64_t) { return test::noise_batch(99, {1, 2, 3}); };
    return Trainer(task, options_, run, resume_from).run(most_steps);
  }
  static std::string averages(const fs::path& run) { return read_file(checkpoint::step_folder(run, steps) / "ema.safetensors"); }

  static constexpr int64_t steps = 12;
  TrainOptions options_ = test::small_options(steps);
  TemporaryFolder folder_;
  const fs::path whole_ = folder_.path() / "whole", parts_ = folder_.path() / "parts";
};

TEST_F(AveragedRun, GoesOnBitForBit) {
  train(whole_);
  for (const int64_t stop : {1, 5, 11}) {
    const fs::path run = folder_.path() / std::to_string(stop);
    train(run, stop);
    train(run, 0, checkpoint::find_latest(run)->path);
    EXPECT_EQ(averages(run), averages(whole_)) << stop;
  }
}

TEST_F(AveragedRun, TheAverageChangesNoStep) {
  train(whole_);
  options_.ema = 0;
  train(parts_);
  EXPECT_EQ(test::timeless_metrics(whole_), test::timeless_metrics(parts_));
  EXPECT_FALSE(fs::exists(checkpoint::step_folder(parts_, steps) / "ema.safetensors"));
}

TEST_F(AveragedRun, ValidatesWithTheAverageWhenAsked) {
  options_.valid_every = steps;
  train(whole_);
  options_.valid_ema = true;
  train(parts_);
  auto plain = test::timeless_metrics(whole_), averaged = test::timeless_metrics(parts_);
  Task task = test::regression_task(4, 2);
  task.validation_batches = 1;
  task.validation_batch = [](int64_t) { return test::noise_batch(99, {1, 2, 3}); };
  checkpoint::load_into(*task.module, checkpoint::read_tensors(checkpoint::step_folder(parts_, steps) / "ema.safetensors"),
                        {.source = "ema.safetensors"});
  EXPECT_NEAR(averaged.back().at("valid_loss").get<double>(), validate(task).at("valid_loss"), 1e-9);
  EXPECT_NE(averaged.back().at("valid_loss"), plain.back().at("valid_loss"));
  for (Json* line : {&plain.back(), &averaged.back()})
    for (const char* key : {"valid_loss", "valid_movement_loss", "valid_movement_accuracy"}) line->erase(key);
  EXPECT_EQ(plain, averaged);
}

TEST_F(AveragedRun, BeginsWithTheWeightsOfACheckpointThatHasNone) {
  options_.ema = 0;
  train(parts_, 5);
  options_.ema = 0.8;
  options_.learning_rate = 0;
  train(parts_, 0, checkpoint::find_latest(parts_)->path);
  const auto saved = checkpoint::read_tensors(checkpoint::step_folder(parts_, steps) / "model.safetensors");
  for (const auto& [name, tensor] : checkpoint::read_tensors(checkpoint::step_folder(parts_, steps) / "ema.safetensors"))
    EXPECT_TRUE(tensor.allclose(saved.at(name))) << name;
}

}  // namespace
}  // namespace microemo::train
