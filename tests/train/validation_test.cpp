#include "microemo/train/validation.h"

#include <cmath>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/scalar_tensor.h>

#include "microemo/checkpoint/folder.h"
#include "parallel/ranks.h"
#include "train/support.h"

namespace microemo::train {
namespace {

namespace fs = std::filesystem;
using test::expect_error;

Task with_validation(Share share = {}) {
  Task task = test::regression_task(4, 2, share);
  task.validation_batches = 3;
  task.validation_batch = [](int64_t index) { return test::noise_batch(50 + index, {index, index + 1}); };
  return task;
}

TEST(Validation, TakesTheMeanOverAllTokensAndLeavesNoGradient) {
  Task task = test::regression_task(4, 2);
  const auto batches = task.batches(0);
  task.validation_batches = 2;
  task.validation_batch = [&](int64_t index) { return batches[static_cast<size_t>(index)]; };
  const ValidationResult result = validate(task);
  EXPECT_TRUE(test::gradients_of(*task.module).empty());
  const StepResult step = forward_backward(task, batches);
  constexpr double weight_of_movement = 0.5;
  EXPECT_NEAR(result.at("valid_loss"), step.answer_loss, 1e-6);
  EXPECT_NEAR(result.at("valid_movement_loss"), step.alignment_loss / weight_of_movement, 1e-6);
  EXPECT_EQ(result.at("valid_movement_accuracy"), step.movement_accuracy);
}

TEST(Validation, LeavesOutWhatCountsNothing) {
  Task task = with_validation();
  task.terms.push_back("window_voice");
  task.loss = [loss = task.loss](const model::ClipBatch& batch) {
    model::BatchLoss made = loss(batch);
    made.movement_right = at::Tensor(), made.movement_frames = 0;
    return made;
  };
  const ValidationResult result = validate(task);
  EXPECT_FALSE(result.contains("valid_window_voice_loss"));
  EXPECT_FALSE(result.contains("valid_movement_accuracy"));
  EXPECT_TRUE(result.contains("valid_loss"));
}

TEST(Validation, OfSeveralRanksIsThatOfOne) {
  const ValidationResult one = validate(with_validation());
  for (const int64_t world : {2, 4})
    test::run_ranks(world, [&](parallel::Group& group) {
      const ValidationResult many = validate(with_validation({group.rank(), group.world()}), group);
      ASSERT_EQ(many.size(), one.size());
      for (const auto& [name, value] : one) EXPECT_NEAR(many.at(name), value, 1e-6 * std::abs(value)) << name;
    });
}

TEST(BestMetric, KnowsWhichWayIsBetter) {
  EXPECT_TRUE(best_metric("valid_loss", {"answer"}).better(1, 2));
  EXPECT_FALSE(best_metric("valid_movement_loss", {"answer", "movement"}).better(2, 1));
  EXPECT_TRUE(best_metric("valid_movement_accuracy", {"answer"}).better(0.5, 0.25));
  EXPECT_FALSE(best_metric("valid_movement_accuracy", {"answer"}).better(0.25, 0.25));
  EXPECT_TRUE(best_metric("valid_wheel_f", {"answer"}, /*answers=*/true).better(0.5, 0.25));
  test::expect_error(
      ErrorKind::config, [] { best_metric("valid_wheel_f", {"answer"}); }, "nothing is answered");
}

TEST(BestMetric, RefusesANameThatNoValidationGives) {
  const std::vector<std::string> terms = {"answer", "movement"};
  for (const auto& [name, nearest] :
       {std::pair{"valid_los", "valid_loss"}, {"valid_movement_acuracy", "valid_movement_accuracy"}}) {
    const Error error = expect_error(
        ErrorKind::config, [&, wrong = name] { best_metric(wrong, terms); },
        fmt::format("no validation gives '{}'; did you mean '{}'?", name, nearest));
    EXPECT_EQ(error.place(), "train.best_metric");
    EXPECT_EQ(error.next_step(), "one of valid_loss, valid_movement_accuracy, valid_movement_loss");
  }
  expect_error(
      ErrorKind::config, [&] { best_metric("valid_window_voice_loss", terms); }, "no validation gives");
  expect_error(
      ErrorKind::config, [&] { best_metric("", terms); }, "no validation gives ''");
}

/// Accuracies of the validations in their order.
class BestRun : public testing::Test {
 protected:
  RunOutcome train(const std::vector<double>& accuracies, int64_t most_steps = 0, const fs::path& resume_from = {}) {
    fs::create_directories(run_);
    Task task = test::regression_task(4, 2);
    task.validation_batches = 1;
    task.validation_batch = [](int64_t) { return test::noise_batch(99, {1}); };
    task.loss = [this, loss = task.loss, accuracies](const model::ClipBatch& batch) {
      model::BatchLoss made = loss(batch);
      if (at::GradMode::is_enabled()) return made;
      made.movement_right = at::scalar_tensor(accuracies.at(size_t(validations_++)), at::kDouble);
      made.movement_frames = 1;
      return made;
    };
    return Trainer(task, options_, run_, resume_from).run(most_steps);
  }

  BestRun() {
    options_.valid_every = 2;
    options_.keep_best = true;
    options_.keep_last = 1;
    options_.best_metric = "valid_movement_accuracy";
  }

  TrainOptions options_ = test::small_options(12);
  int64_t validations_ = 0;
  TemporaryFolder folder_;
  const fs::path run_ = folder_.path() / "run";
};

TEST_F(BestRun, KeepsTheCheckpointOfTheHighestAccuracy) {
  EXPECT_EQ(train({0.1, 0.5, 0.3, 0.4, 0.5, 0.2}).best_step, 4);
  std::vector<int64_t> kept;
  for (const auto& one : checkpoint::list_checkpoints(run_)) kept.push_back(one.step);
  EXPECT_EQ(kept, (std::vector<int64_t>{4, 12}));
}

TEST_F(BestRun, EndsByTheSameMetric) {
  options_.patience = 2;
  const RunOutcome outcome = train({0.1, 0.5, 0.3, 0.4, 0.9, 0.9});
  EXPECT_TRUE(outcome.early);
  EXPECT_EQ(outcome.step, 8);
}

TEST_F(BestRun, CountsOverARestart) {
  options_.patience = 3;
  const RunOutcome half = train({0.1, 0.5, 0.3, 0.4, 0.2, 0.9}, 7);
  EXPECT_EQ(train({0.1, 0.5, 0.3, 0.4, 0.2, 0.9}, 0, half.checkpoint).step, 10);
}

TEST_F(BestRun, BeginsAnewWithAnotherMetric) {
  const RunOutcome half = train({0.1, 0.5, 0.3, 0.4, 0.2, 0.9}, 5);
  options_.best_metric = "valid_loss";
  options_.learning_rate = 0;
  EXPECT_EQ(train({0.1, 0.5, 0.3, 0.4, 0.2, 0.9}, 0, half.checkpoint).best_step, 6);
}

TEST_F(BestRun, RefusesAMetricThatItsClipsDoNotGive) {
  options_.best_metric = "valid_movement_accuracy";
  fs::create_directories(run_);
  Task task = test::regression_task(4, 2);
  task.validation_batches = 1;
  task.validation_batch = [](int64_t) { return test::noise_batch(99, {1}); };
  task.loss = [loss = task.loss](const model::ClipBatch& batch) {
    model::BatchLoss made = loss(batch);
    made.movement_right = at::Tensor(), made.movement_frames = 0;
    return made;
  };
  expect_error(
      ErrorKind::config, [&] { Trainer(task, options_, run_).run(); }, "the validation gave no valid_movement_accuracy");
}

TEST_F(BestRun, IsRefusedBeforeAnyStep) {
  options_.best_metric = "valid_accuracy";
  expect_error(
      ErrorKind::config, [&] { Trainer(test::regression_task(4, 2), options_, run_); }, "no validation gives 'valid_accuracy'");
}

TEST(Validation, AveragesTheGroupingsOfAnswersThatAreCounted) {
  Task task = with_validation();
  task.answer_scores = [](int64_t, int64_t) { return std::vector<std::pair<double, double>>{{3, 4}, {0, 0}, {1, 4}}; };
  EXPECT_DOUBLE_EQ(validate(task).at("valid_wheel_f"), 0.5);
  task.answer_scores = [](int64_t, int64_t) { return std::vector<std::pair<double, double>>{{0, 0}}; };
  EXPECT_FALSE(validate(task).contains("valid_wheel_f"));
}

}  // namespace
}  // namespace microemo::train
