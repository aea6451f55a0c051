#include "microemo/train/checkpoints.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <future>

#include <ATen/core/grad_mode.h>

#include "microemo/checkpoint/folder.h"
#include "support/file_size_limit.h"
#include "support/tensor_memory.h"
#include "train/support.h"

namespace microemo::train {
namespace {

namespace fs = std::filesystem;
using test::expect_error;

class SavedInTheBackground : public testing::Test {
 protected:
  std::vector<int64_t> kept() const {
    std::vector<int64_t> steps;
    for (const auto& one : checkpoint::list_checkpoints(run_)) steps.push_back(one.step);
    return steps;
  }
  void fill(double value) {
    const at::NoGradGuard no_grad;
    for (at::Tensor& parameter : module_.parameters()) parameter.fill_(value);
  }

  TemporaryFolder folder_;
  const fs::path run_ = folder_.path() / "run";
  TrainOptions options_ = test::small_options(12);
  test::Regression module_;
  AdamW optimizer_{module_, options_};
  WeightAverage average_{module_, 0};
  const Trained trained_{module_, optimizer_, average_};
};

TEST_F(SavedInTheBackground, ACheckpointHoldsWhatWasThereWhenItWasAskedFor) {
  Checkpoints checkpoints(run_, options_);
  for (const int64_t step : {1, 2}) {
    std::promise<void> changed;
    fill(double(step));
    checkpoints.save({.step = step}, trained_, [&] { changed.get_future().wait(); });
    fill(-1);
    for (const auto& [name, tensor] : optimizer_.state()) tensor.fill_(-1);
    EXPECT_EQ(checkpoint::list_checkpoints(run_).size(), size_t(step) - 1);
    changed.set_value();
    checkpoints.wait();
    const fs::path saved = checkpoint::step_folder(run_, step);
    for (const auto& [name, tensor] : checkpoint::read_tensors(saved / "model.safetensors"))
      EXPECT_TRUE(tensor.eq(double(step)).all().item<bool>()) << name;
    for (const auto& [name, tensor] : checkpoint::read_tensors(saved / "optimizer.safetensors"))
      EXPECT_TRUE(tensor.eq(step == 1 ? 0.0 : -1.0).all().item<bool>()) << name;
  }
}

TEST_F(SavedInTheBackground, TheNextCheckpointWaitsForTheOneBefore) {
  options_.keep_last = 2;
  Checkpoints checkpoints(run_, options_);
  for (const int64_t step : {1, 2, 3}) checkpoints.save({.step = step}, trained_, [] { ::usleep(20000); });
  EXPECT_TRUE(checkpoint::is_whole(checkpoint::step_folder(run_, 2)));
  checkpoints.wait();
  EXPECT_EQ(kept(), (std::vector<int64_t>{2, 3}));
}

TEST_F(SavedInTheBackground, TheEndWaitsForTheLastCheckpoint) {
  {
    Checkpoints checkpoints(run_, options_);
    checkpoints.save({.step = 1}, trained_, [] { ::usleep(20000); });
  }
  EXPECT_TRUE(checkpoint::is_whole(checkpoint::step_folder(run_, 1)));
}

TEST_F(SavedInTheBackground, AThreadThatEndsTheProcessWaitsForTheOneAtWork) {
  EXPECT_TRUE(checkpoints_are_written(0));
  Checkpoints checkpoints(run_, options_);
  std::promise<void> go_on;
  checkpoints.save({.step = 1}, trained_, [&] { go_on.get_future().wait(); });
  EXPECT_FALSE(checkpoints_are_written(0.02));
  auto ended = std::async(std::launch::async, [&] {
    const bool written = checkpoints_are_written(60);
    return written && checkpoint::is_whole(checkpoint::step_folder(run_, 1));
  });
  go_on.set_value();
  EXPECT_TRUE(ended.get());
  checkpoints.wait();
}

TEST_F(SavedInTheBackground, OneThatFailsIsNotWaitedForAnyLonger) {
  Checkpoints checkpoints(run_, options_);
  checkpoints.save({.step = 1}, trained_, [] { throw EnvironmentError("no space on the disk"); });
  EXPECT_TRUE(checkpoints_are_written(60));
  EXPECT_THROW(checkpoints.wait(), Error);
}

TEST_F(SavedInTheBackground, TheFirstNeedsNoMoreMemoryThanTheOthers) {
  WeightAverage average(module_, 0.5);
  const Trained trained{module_, optimizer_, average};
  Checkpoints checkpoints(run_, options_);
  checkpoints.prepare(trained);
  const test::TensorMemory memory;
  for (const int64_t step : {1, 2}) checkpoints.save({.step = step}, trained);
  EXPECT_EQ(memory.peak(), 0);
  checkpoints.wait();
}

TEST_F(SavedInTheBackground, ATokenizerOfSeveralFilesBelongsToACheckpoint) {
  fs::create_directories(run_ / "tokenizer");
  std::ofstream(run_ / "tokenizer" / "tokenizer.json") << "{}";
  Checkpoints checkpoints(run_, options_);
  checkpoints.save({.step = 1}, trained_);
  checkpoints.wait();
  EXPECT_TRUE(checkpoint::is_whole(checkpoint::step_folder(run_, 1)));
  EXPECT_EQ(read_file(checkpoint::step_folder(run_, 1) / "tokenizer" / "tokenizer.json"), "{}");
}

TEST_F(SavedInTheBackground, TheBestIsThatOfTheMomentItWasAskedFor) {
  options_.keep_last = 1;
  options_.keep_best = true;
  Checkpoints checkpoints(run_, options_);
  for (const int64_t step : {1, 2, 3, 4}) checkpoints.save({.step = step, .best_step = step < 4 ? 1 : 4}, trained_);
  checkpoints.wait();
  EXPECT_EQ(kept(), (std::vector<int64_t>{4}));
}

TEST_F(SavedInTheBackground, AFullDiskIsTheErrorOfTheNextCallAndLeavesTheCheckpointBefore) {
  Checkpoints checkpoints(run_, options_);
  checkpoints.save({.step = 4}, trained_);
  checkpoints.wait();
  {
    const test::FileSizeLimit limit(200);
    checkpoints.save({.step = 8}, trained_);
    const Error error = expect_error(
        ErrorKind::environment, [&] { checkpoints.save({.step = 9}, trained_); }, "model.safetensors");
    EXPECT_FALSE(error.next_step().empty());
  }
  EXPECT_NO_THROW(checkpoints.wait());
  EXPECT_EQ(kept(), (std::vector<int64_t>{4}));
  EXPECT_EQ(std::distance(fs::directory_iterator(run_ / "checkpoints"), fs::directory_iterator()), 1);
  checkpoints.save({.step = 8}, trained_);
  checkpoints.wait();
  EXPECT_EQ(kept(), (std::vector<int64_t>{4, 8}));
}

TEST_F(SavedInTheBackground, AWriterThatFailsEndsTheRun) {
  options_.save_every = 4;
  fs::create_directories(run_);
  Task task = test::regression_task(4, 2);
  const auto move = [&](const char* from, const char* to) { fs::rename(run_ / from, run_ / to); };
  // No folder can be made where a file lies.
  task.batches = [&, batches = task.batches](int64_t step) {
    if (step == 6) {
      while (kept().empty()) ::usleep(1000);
      move("checkpoints", "aside");
      std::ofstream(run_ / "checkpoints");
    }
    return batches(step);
  };
  {
    Trainer trainer(task, options_, run_);
    expect_error(
        ErrorKind::environment, [&] { trainer.run(); }, "the checkpoint cannot be written");
    EXPECT_GE(trainer.state().step, 8);
  }
  fs::remove(run_ / "checkpoints");
  move("aside", "checkpoints");
  EXPECT_EQ(checkpoint::find_latest(run_)->step, 4);
}

TEST(BackgroundWork, ThrowsItsErrorOnceAndCanBeginAgain) {
  Background background;
  EXPECT_TRUE(background.ended());
  background.start([](const std::stop_token&) { throw DataError("broken"); });
  expect_error(
      ErrorKind::data, [&] { background.start([](const std::stop_token&) { FAIL(); }); }, "broken");
  EXPECT_NO_THROW(background.wait());
  bool done = false;
  background.start([&](const std::stop_token&) { done = true; });
  background.wait();
  EXPECT_TRUE(done);
}

TEST(BackgroundWork, IsAskedToStopWaitingAtTheEnd) {
  bool asked = false;
  {
    Background background;
    background.start([&](const std::stop_token& stop) {
      while (!stop.stop_requested()) ::usleep(1000);
      asked = true;
    });
    EXPECT_FALSE(background.ended());
  }
  EXPECT_TRUE(asked);
}

}  // namespace
}  // namespace microemo::train
