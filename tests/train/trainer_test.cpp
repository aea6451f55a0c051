#include "microemo/train/trainer.h"

#include <sys/stat.h>

#include <limits>
#include <set>

#include "microemo/base/log.h"
#include "microemo/base/workers.h"
#include "microemo/checkpoint/folder.h"
#include "train/support.h"

namespace microemo::train {
namespace {

namespace fs = std::filesystem;
using test::expect_error;

constexpr int64_t steps = 12;

class Training : public testing::Test {
 protected:
  ~Training() override { clear_stop_request(); }

  RunOutcome train(const fs::path& run, int64_t most_steps = 0, const fs::path& resume_from = {}) {
    fs::create_directories(run);
    return Trainer(test::regression_task(4, 2), options_, run, resume_from).run(most_steps);
  }
  RunOutcome resume(const fs::path& run, int64_t most_steps = 0) {
    return train(run, most_steps, checkpoint::find_latest(run)->path);
  }

  void expect_same(const fs::path& a, const fs::path& b) {
    for (const char* file : {"model.safetensors", "optimizer.safetensors"})
      EXPECT_EQ(read_file(checkpoint::step_folder(a, steps) / file), read_file(checkpoint::step_folder(b, steps) / file)) << file;
    EXPECT_EQ(test::timeless_metrics(a), test::timeless_metrics(b));
  }

  TrainOptions options_ = test::small_options(steps);
  TemporaryFolder folder_;
  const fs::path whole_ = folder_.path() / "whole", parts_ = folder_.path() / "parts";
};

TEST_F(Training, LowersTheLossAndFinishes) {
  const RunOutcome outcome = train(whole_);
  EXPECT_TRUE(outcome.finished);
  EXPECT_EQ(outcome.step, steps);
  const auto lines = test::timeless_metrics(whole_);
  ASSERT_EQ(lines.size(), 12u);
  EXPECT_LT(lines.back().at("loss").get<double>(), lines.front().at("loss").get<double>());
}

TEST_F(Training, StoppedAtAnyStepContinuesBitForBit) {
  train(whole_);
  for (int64_t stop = 1; stop < steps; ++stop) {
    const fs::path run = folder_.path() / std::to_string(stop);
    const RunOutcome stopped = train(run, stop);
    EXPECT_FALSE(stopped.finished);
    EXPECT_EQ(stopped.step, stop);
    EXPECT_TRUE(resume(run).finished);
    expect_same(whole_, run);
  }
}

TEST_F(Training, AFinishedRunThatIsResumedKeepsItsCheckpointAsItIs) {
  options_.keep_last = 1;
  train(whole_);
  const auto inode = [&] {
    struct stat facts {};
    ::stat((checkpoint::step_folder(whole_, steps) / "model.safetensors").c_str(), &facts);
    return facts.st_ino;
  };
  const ino_t before = inode();
  const RunOutcome again = resume(whole_);
  EXPECT_TRUE(again.finished);
  EXPECT_EQ(again.checkpoint, checkpoint::step_folder(whole_, steps));
  EXPECT_EQ(inode(), before);
}

TEST_F(Training, ARunThatGoesOnFromACheckpointElsewhereSavesItsOwn) {
  train(whole_);
  train(parts_, 0, checkpoint::step_folder(whole_, steps));
  EXPECT_TRUE(checkpoint::is_whole(checkpoint::step_folder(parts_, steps)));
}

TEST_F(Training, StoppedAfterEveryStepContinuesBitForBit) {
  train(whole_);
  train(parts_, 1);
  for (int64_t step = 1; step < steps; ++step) resume(parts_, 1);
  expect_same(whole_, parts_);
}

TEST_F(Training, WorkAfterTheLastCheckpointIsDoneAgainBitForBit) {
  train(whole_);
  options_.save_every = 5;
  options_.keep_last = 0;
  train(parts_, 8);
  fs::remove_all(checkpoint::step_folder(parts_, 8));
  EXPECT_EQ(checkpoint::find_latest(parts_)->step, 5);
  resume(parts_);
  expect_same(whole_, parts_);
}

TEST_F(Training, ADamagedCheckpointIsPassedOverAndWrittenAnew) {
  train(whole_);
  options_.save_every = 5;
  train(parts_, 10);
  fs::resize_file(checkpoint::step_folder(parts_, 10) / "model.safetensors", 20);
  resume(parts_);
  expect_same(whole_, parts_);
  EXPECT_TRUE(checkpoint::is_whole(checkpoint::step_folder(parts_, 10)));
}

TEST_F(Training, AStopRequestSavesAndReturns) {
  request_stop();
  const RunOutcome outcome = train(parts_);
  EXPECT_FALSE(outcome.finished);
  EXPECT_EQ(outcome.step, 0);
  clear_stop_request();
  train(whole_);
  resume(parts_);
  expect_same(whole_, parts_);
}

TEST_F(Training, AFinishedRunIsLeftAsItIs) {
  train(whole_);
  const auto before = test::timeless_metrics(whole_);
  EXPECT_TRUE(resume(whole_).finished);
  EXPECT_EQ(test::timeless_metrics(whole_), before);
}

TEST_F(Training, AnotherSplitOfTheBatchStaysClose) {
  train(whole_);
  Trainer(test::regression_task(4, 1), options_, (fs::create_directories(parts_), parts_)).run();
  const double a = test::timeless_metrics(whole_).back().at("loss"), b = test::timeless_metrics(parts_).back().at("loss");
  EXPECT_NEAR(a, b, 1e-5 * a);
}

TEST_F(Training, KeepsTheLastCheckpoints) {
  options_.save_every = 2;
  options_.keep_last = 3;
  train(whole_);
  std::vector<int64_t> kept;
  for (const auto& checkpoint : checkpoint::list_checkpoints(whole_)) kept.push_back(checkpoint.step);
  EXPECT_EQ(kept, (std::vector<int64_t>{8, 10, 12}));
}

TEST_F(Training, MetricsAreWrittenAsOftenAsAskedAndAtTheEnd) {
  options_.log_every = 5;
  train(whole_);
  std::vector<int64_t> written;
  for (const Json& line : test::timeless_metrics(whole_)) written.push_back(line.at("step"));
  EXPECT_EQ(written, (std::vector<int64_t>{5, 10, 12}));
}

TEST_F(Training, AFrozenParameterKeepsItsValue) {
  options_.frozen = {"layer.bias"};
  train(whole_);
  const auto saved = checkpoint::read_tensors(checkpoint::step_folder(whole_, steps) / "model.safetensors");
  EXPECT_TRUE(saved.at("layer.bias").equal(test::Regression().bias));
  EXPECT_FALSE(saved.at("layer.weight").equal(test::Regression().weight));
}

TEST_F(Training, SaysWhichTensorsGotNoGradient) {
  open_log(LogLevel::info, folder_.path() / "log.jsonl");
  train(whole_, 2);
  close_log();
  const std::string log = read_file(folder_.path() / "log.jsonl");
  EXPECT_THAT(log, testing::HasSubstr("1 trainable tensors got no gradient in this step and stay as they are: spare.weight"));
}

TEST_F(Training, ANonFiniteLossNamesStepAndClipsAndKeepsTheLastCheckpoint) {
  options_.save_every = 3;
  Task task = test::regression_task(4, 2);
  task.batches = [batches = task.batches](int64_t step) {
    auto made = batches(step);
    if (step == 4) made[1].mel_BFM.fill_(std::numeric_limits<float>::quiet_NaN());
    return made;
  };
  const auto ids = task.batches(4)[1].ids;
  fs::create_directories(whole_);
  const Error error = expect_error(
      ErrorKind::data, [&] { Trainer(task, options_, whole_).run(); }, "the loss of step 5 is not finite");
  EXPECT_EQ(error.place(), "clips " + ids[0] + ", " + ids[1]);
  EXPECT_EQ(checkpoint::find_latest(whole_)->step, 3);
  EXPECT_EQ(test::timeless_metrics(whole_).size(), 4u);
}

/// NaN in the batches of one step, or from it on.
Task with_nan(int64_t first, int64_t last) {
  Task task = test::regression_task(4, 2);
  task.batches = [batches = task.batches, first, last](int64_t step) {
    auto made = batches(step);
    if (step >= first && step <= last) made[1].mel_BFM.fill_(std::numeric_limits<float>::quiet_NaN());
    return made;
  };
  return task;
}

TEST_F(Training, AStepThatIsNotFiniteIsSkippedWhenAskedAndSaidSo) {
  options_.non_finite = NonFinite::skip;
  fs::create_directories(whole_);
  Task task = with_nan(4, 4);
  open_log(LogLevel::info, folder_.path() / "log.jsonl");
  EXPECT_TRUE(Trainer(task, options_, whole_).run().finished);
  close_log();
  EXPECT_THAT(read_file(folder_.path() / "log.jsonl"), testing::HasSubstr("the loss of step 5 is not finite, and is skipped"));
  for (const at::Tensor& parameter : task.module->parameters()) EXPECT_TRUE(parameter.isfinite().all().item<bool>());
  for (const Json& line : test::timeless_metrics(whole_)) EXPECT_EQ(line.contains("skipped"), line.at("step") == 5) << line;
}

TEST_F(Training, StopsWhenTooManyStepsInARowAreNotFinite) {
  options_.non_finite = NonFinite::skip;
  options_.steps = 20;
  fs::create_directories(whole_);
  expect_error(
      ErrorKind::data, [&] { Trainer(with_nan(3, 19), options_, whole_).run(); }, "the loss of step 13 is not finite");
}

TEST_F(Training, WritesAHashOfTheWeightsBehindEveryStepWhenDeterministic) {
  options_.deterministic = true;
  train(whole_);
  train(parts_, 3);
  resume(parts_);
  std::set<std::string> hashes;
  const auto whole = test::timeless_metrics(whole_), parts = test::timeless_metrics(parts_);
  ASSERT_EQ(whole.size(), parts.size());
  for (size_t i = 0; i < whole.size(); ++i) {
    EXPECT_EQ(whole[i].at("weights"), parts[i].at("weights"));
    hashes.insert(whole[i].at("weights").get<std::string>());
  }
  EXPECT_EQ(hashes.size(), whole.size());
}

TEST_F(Training, NormsOfPartsAddUpToThatOfAll) {
  train(whole_);
  for (const Json& line : test::timeless_metrics(whole_)) {
    double squares = 0;
    for (const auto& [name, value] : line.items())
      if (name.starts_with("grad_norm/")) squares += value.get<double>() * value.get<double>();
    EXPECT_NEAR(std::sqrt(squares), line.at("grad_norm").get<double>(), 1e-5);
  }
}

TEST_F(Training, StopsBeforeItsTimeIsOver) {
  fs::create_directories(parts_);
  const RunOutcome outcome = Trainer(test::regression_task(4, 2), options_, parts_).run(0, 1e-9);
  EXPECT_FALSE(outcome.finished);
  EXPECT_EQ(outcome.step, 0);
  train(whole_);
  resume(parts_);
  expect_same(whole_, parts_);
}

/// Validated on a batch of its own, and never better than the first time: nothing is learned.
Task without_progress(TrainOptions& options) {
  options.learning_rate = 0;
  options.valid_every = 2;
  Task task = test::regression_task(4, 2);
  task.validation_batches = 1;
  task.validation_batch = [](int64_t) { return test::noise_batch(99, {1, 2, 3}); };
  return task;
}

TEST_F(Training, EndsWhenValidationsAreNoBetter) {
  options_.patience = 2;
  const Task task = without_progress(options_);
  fs::create_directories(whole_);
  const RunOutcome outcome = Trainer(task, options_, whole_).run();
  EXPECT_TRUE(outcome.finished);
  EXPECT_TRUE(outcome.early);
  EXPECT_EQ(outcome.step, 6);
  EXPECT_EQ(outcome.best_step, 2);
  const RunOutcome again = Trainer(task, options_, whole_, outcome.checkpoint).run();
  EXPECT_TRUE(again.early);
  EXPECT_EQ(again.step, 6);
}

TEST_F(Training, PatienceCountsOverARestart) {
  options_.patience = 2;
  const Task task = without_progress(options_);
  fs::create_directories(parts_);
  const RunOutcome half = Trainer(task, options_, parts_).run(5);
  EXPECT_FALSE(half.finished);
  EXPECT_EQ(Trainer(task, options_, parts_, half.checkpoint).run().step, 6);
}

TEST_F(Training, KeepsTheBestCheckpointBesideTheLast) {
  options_.keep_best = true;
  options_.keep_last = 1;
  options_.save_every = 3;
  const Task task = without_progress(options_);
  fs::create_directories(whole_);
  Trainer(task, options_, whole_).run();
  std::vector<int64_t> kept;
  for (const auto& one : checkpoint::list_checkpoints(whole_)) kept.push_back(one.step);
  EXPECT_EQ(kept, (std::vector<int64_t>{2, options_.steps}));
}

TEST_F(Training, ValidationIsInTheLineOfItsStep) {
  options_.valid_every = 4;
  Task task = test::regression_task(4, 2);
  task.validation_batches = 1;
  task.validation_batch = [](int64_t) { return test::noise_batch(99, {1, 2, 3}); };
  fs::create_directories(whole_);
  Trainer(task, options_, whole_).run();
  for (const Json& line : test::timeless_metrics(whole_))
    EXPECT_EQ(line.contains("valid_loss"), line.at("step").get<int>() % 4 == 0) << line;
}

/// Else a job that is started again while it says that it can go on would be so for ever.
TEST_F(Training, ARunThatHasDoneMoreStepsThanAreAskedForIsFinished) {
  train(parts_, 6);
  options_.steps = 4;
  const RunOutcome outcome = resume(parts_);
  EXPECT_TRUE(outcome.finished);
  EXPECT_FALSE(outcome.early);
  EXPECT_EQ(outcome.step, 6);
}

TEST_F(Training, ARunThatWentOnFromAnEarlierCheckpointKeepsItsOwn) {
  options_.save_every = 2;
  options_.keep_last = 3;
  train(parts_);
  for (const int64_t step : {10, 12}) fs::resize_file(checkpoint::step_folder(parts_, step) / "model.safetensors", 10);
  options_.keep_last = 1;
  EXPECT_EQ(resume(parts_, 1).step, 9);
  EXPECT_EQ(checkpoint::find_latest(parts_)->step, 9);
  train(whole_);
  EXPECT_TRUE(resume(parts_).finished);
  expect_same(whole_, parts_);
}

TEST_F(Training, TryingAStepChangesNothing) {
  fs::create_directories(parts_);
  const Task task = test::regression_task(4, 2);
  Trainer trainer(task, options_, parts_);
  const StepCost cost = trainer.try_step(task.batches(0));
  EXPECT_EQ(cost.clips, 4);
  EXPECT_GT(cost.flop_per_clip, 0);
  trainer.run();
  train(whole_);
  expect_same(whole_, parts_);
}

TEST_F(Training, RefusesACheckpointOfAnotherModel) {
  train(parts_, 2);
  Task task = test::regression_task(4, 2);
  task.module->register_parameter("more", at::zeros({1}));
  expect_error(
      ErrorKind::checkpoint, [&] { Trainer(task, options_, parts_, checkpoint::find_latest(parts_)->path); },
      "1 missing:\n    more");
}

TEST(ParameterTable, CountsByTopLevelModule) {
  test::Regression module;
  module.bias.set_requires_grad(false);
  EXPECT_EQ(parameter_table(module),
            "parameters               trainable        frozen\n"
            "layer                           12             3\n"
            "spare                            4             0\n"
            "all                             16             3");
}

}  // namespace
}  // namespace microemo::train
