// ZeRO-1: ranks that each hold the optimizer's state of a range of the parameters, as threads.
#include <atomic>

#include "infer/tiny_model.h"
#include "microemo/base/hash.h"
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
using test::expect_error;

std::string part(int64_t rank, int64_t world) { return fmt::format("optimizer-rank-{}-of-{}.safetensors", rank, world); }

class Zero : public testing::Test {
 protected:
  Zero() { options_.ranks.zero = 1; }

  RunOutcome train(int64_t world, const fs::path& run, int64_t most_steps = 0, const fs::path& resume_from = {}) {
    return test::train_ranks(world, task, options_, run, most_steps, resume_from);
  }
  RunOutcome resume(int64_t world, const fs::path& run, int64_t most_steps = 0) {
    return train(world, run, most_steps, checkpoint::find_latest(run)->path);
  }
  /// With a parameter that ranges cut: its square is added to the loss of every answer.
  static Task task(const Group& group) {
    Task made = test::regression_task(4, 2, {group.rank(), group.world()});
    const at::Tensor wide = made.module->register_parameter("wide", test::Regression::fill({7, 13}, 5));
    made.loss = [wide, loss = made.loss](const model::ClipBatch& clips) {
      model::BatchLoss both = loss(clips);
      both.terms.front().sum = both.terms.front().sum + wide.square().sum() * both.terms.front().count;
      return both;
    };
    return made;
  }

  static void expect_close(const fs::path& one, const fs::path& many) {
    const auto a = test::timeless_metrics(one), b = test::timeless_metrics(many);
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i)
      EXPECT_NEAR(b[i].at("loss").get<double>(), a[i].at("loss").get<double>(), 1e-5 * a[i].at("loss").get<double>()) << i;
  }
  static std::string weights(const fs::path& run, int64_t step) {
    return read_file(checkpoint::step_folder(run, step) / "model.safetensors");
  }

  static constexpr int64_t steps = 12;
  TrainOptions options_ = test::small_options(steps);
  TemporaryFolder folder_;
  const fs::path whole_ = folder_.path() / "whole", parts_ = folder_.path() / "parts";
};

TEST_F(Zero, GivesTheWeightsOfRanksThatHoldAllStateToTheBit) {
  for (const int64_t world : {2, 4}) {
    const fs::path plain = folder_.path() / fmt::format("plain{}", world), cut = folder_.path() / fmt::format("cut{}", world);
    options_.ranks.zero = 0;
    train(world, plain);
    options_.ranks.zero = 1;
    train(world, cut);
    EXPECT_EQ(test::timeless_metrics(plain), test::timeless_metrics(cut));
    EXPECT_EQ(weights(plain, steps), weights(cut, steps));
  }
}

TEST_F(Zero, OfOneProcessIsWithoutEffect) {
  train(1, whole_);
  EXPECT_TRUE(fs::exists(checkpoint::step_folder(whole_, steps) / "optimizer.safetensors"));
}

TEST_F(Zero, EachRankHoldsItsPartOfTheState) {
  const auto module = task({}).module;
  const AdamW all(*module, options_);
  // Half a piece of 16 numbers at each end, twice, and the counts of steps.
  constexpr int64_t beside = 2 * 16 * 4 + 4 * 4;
  for (const int64_t world : {2, 3, 4}) {
    int64_t together = 0;
    for (int64_t rank = 0; rank < world; ++rank) {
      const AdamW own(*module, options_, {rank, world});
      EXPECT_LE(own.state_bytes(), all.state_bytes() / world + beside) << rank << " of " << world;
      EXPECT_EQ(own.state_bytes_of_all(), all.state_bytes());
      together += own.state_bytes();
    }
    EXPECT_GE(together, all.state_bytes());
  }
}

TEST_F(Zero, GoesOnWithFewerAndMoreRanksAndTheSameDataInTheSameOrder) {
  train(1, whole_);
  train(4, parts_, 3);
  resume(2, parts_, 3);
  resume(1, parts_, 3);
  EXPECT_TRUE(resume(3, parts_).finished);
  expect_close(whole_, parts_);
}

TEST_F(Zero, OfTheSameNumberGoesOnBitForBit) {
  train(3, whole_);
  train(3, parts_, 5);
  resume(3, parts_);
  EXPECT_EQ(test::timeless_metrics(whole_), test::timeless_metrics(parts_));
  EXPECT_EQ(weights(whole_, steps), weights(parts_, steps));
  for (int64_t rank = 0; rank < 3; ++rank)
    EXPECT_EQ(read_file(checkpoint::step_folder(whole_, steps) / part(rank, 3)),
              read_file(checkpoint::step_folder(parts_, steps) / part(rank, 3)));
}

TEST_F(Zero, TheStateOfAllPartsIsThatOfOneProcess) {
  options_.ranks.zero = 0;
  train(2, whole_);
  options_.ranks.zero = 1;
  train(2, parts_);
  options_.ranks.zero = 0;
  const fs::path a = checkpoint::step_folder(whole_, steps), b = checkpoint::step_folder(parts_, steps);
  const auto first = task({}).module, second = task({}).module;
  AdamW one(*first, options_), other(*second, options_);
  WeightAverage none(*first, 0);
  load_checkpoint(a, {*first, one, none});
  load_checkpoint(b, {*second, other, none});
  const auto expected = one.state(), found = other.state();
  for (const auto& [name, tensor] : expected) EXPECT_TRUE(tensor.equal(found.at(name))) << name;
}

/// A checkpoint of three parts, of which something is then wrong.
class DamagedParts : public Zero {
 protected:
  DamagedParts() {
    options_.save_every = 6;
    train(3, parts_);
    last_ = checkpoint::step_folder(parts_, steps);
  }
  void expect_passed_over(const std::string& damage) {
    EXPECT_EQ(checkpoint::damage_of(last_), damage);
    expect_error(
        ErrorKind::checkpoint, [&] { checkpoint::find_checkpoint(last_); }, "the checkpoint is damaged: " + damage);
    EXPECT_EQ(checkpoint::find_latest(parts_)->step, 6);
  }
  Error loading(const std::string& message) {
    const auto module = task({}).module;
    AdamW optimizer(*module, TrainOptions{});
    WeightAverage none(*module, 0);
    return expect_error(
        ErrorKind::checkpoint,
        [&] {
          load_checkpoint(last_, {*module, optimizer, none});
        },
        message);
  }

  fs::path last_;
};

TEST_F(DamagedParts, AreWholeWithTheHashesOfAllRanks) {
  EXPECT_TRUE(checkpoint::is_whole(last_));
  const Json files = read_json(last_ / "manifest.json").at("files");
  for (int64_t rank = 0; rank < 3; ++rank) EXPECT_EQ(files.at(part(rank, 3)).at("sha256"), sha256_file(last_ / part(rank, 3)));
}

TEST_F(DamagedParts, OneThatIsMissingIsNamed) {
  fs::remove(last_ / part(2, 3));
  expect_passed_over(part(2, 3) + " is missing");
}

TEST_F(DamagedParts, OneThatIsTornIsNamed) {
  const auto size = fs::file_size(last_ / part(1, 3));
  fs::resize_file(last_ / part(1, 3), size - 4);
  expect_passed_over(fmt::format("{} has {} bytes instead of {}", part(1, 3), size - 4, size));
}

TEST_F(DamagedParts, OneOfAnotherStepIsNamed) {
  fs::copy_file(checkpoint::step_folder(parts_, 6) / part(1, 3), last_ / part(1, 3), fs::copy_options::overwrite_existing);
  expect_passed_over(fmt::format("the content of {} has changed", part(1, 3)));
}

TEST_F(DamagedParts, OneThatTheManifestDoesNotNameIsRefused) {
  Json manifest = read_json(last_ / "manifest.json");
  manifest.at("files").erase(part(1, 3));
  write_json(last_ / "manifest.json", manifest);
  EXPECT_EQ(loading("manifest.json does not name " + part(1, 3)).place(), last_.string());
}

TEST_F(DamagedParts, ARangeThatNoPartHoldsIsRefused) {
  fs::copy_file(last_ / part(0, 3), last_ / part(1, 3), fs::copy_options::overwrite_existing);
  loading("and the optimizer needs all");
}

TEST_F(DamagedParts, StateOfAnotherModelIsRefused) {
  auto tensors = checkpoint::read_tensors(last_ / part(0, 3));
  tensors["other.weight.exp_avg[0:2]"] = at::zeros({2});
  fs::path foreign = last_ / part(0, 3);
  checkpoint::NamedTensors copied;
  for (const auto& [name, tensor] : tensors) copied[name] = tensor.clone();
  checkpoint::write_tensors(foreign, copied);
  loading("the optimizer has no 'other.weight.exp_avg[0:2]'");
}

TEST_F(DamagedParts, APartOfAnotherLengthThanItsNameSaysIsRefused) {
  checkpoint::NamedTensors copied;
  std::string changed;
  for (const auto& [name, tensor] : checkpoint::read_tensors(last_ / part(0, 3))) {
    copied[name] = tensor.clone();
    if (changed.empty() && name.ends_with("]")) copied[changed = name] = at::zeros({tensor.numel() + 1});
  }
  ASSERT_FALSE(changed.empty());
  checkpoint::write_tensors(last_ / part(0, 3), copied);
  loading(fmt::format("'{}' has another shape or type", changed));
}

/// A rank whose part cannot be written: no checkpoint appears, and both ranks say so.
TEST_F(Zero, ACheckpointWithoutThePartOfARankDoesNotAppear) {
  fs::create_directories(parts_);
  std::atomic<int> refused = 0;
  test::run_ranks(2, [&](Group& group) {
    test::Regression module;
    AdamW optimizer(module, options_, {group.rank(), group.world()});
    WeightAverage none(module, 0);
    Checkpoints checkpoints(parts_, options_, group);
    const auto fail = [&] {
      if (!group.first()) throw EnvironmentError("no space on the disk of this rank");
    };
    options_.save_every = 1;
    checkpoints.save({.step = 1}, {module, optimizer, none}, fail);
    // The rank that fails before it writes never tells of its part; the other one gives up when it is asked to end.
    if (group.first()) return;
    expect_error(
        ErrorKind::environment, [&] { checkpoints.wait(); }, "no space on the disk of this rank");
    ++refused;
  });
  EXPECT_EQ(refused, 1);
  EXPECT_TRUE(checkpoint::list_checkpoints(parts_).empty());
}

/// As on machines that share no disk: found before the first step, and said by every rank.
TEST_F(Zero, ARunFolderThatNotAllRanksSeeIsRefused) {
  std::atomic<int> refused = 0;
  test::run_ranks(3, [&](Group& group) {
    const fs::path run = group.rank() == 2 ? whole_ : parts_;
    fs::create_directories(run);
    Trainer trainer(task(group), options_, run, {}, std::shared_ptr<Group>(&group, [](Group*) {}));
    const Error error = expect_error(
        ErrorKind::environment, [&] { trainer.run(); }, "1 of 3 ranks do not see what rank 0 writes: rank 2");
    EXPECT_EQ(error.place(), run.string());
    ++refused;
  });
  EXPECT_EQ(refused, 3);
  EXPECT_TRUE(fs::is_empty(whole_));
  EXPECT_TRUE(fs::is_empty(parts_));
}

/// The model with every branch, over 30 steps.
TEST_F(Zero, OfTheWholeModelGivesTheCurveOfOneProcess) {
  const test::TinyModel tiny;
  RunOptions options;
  options.model = tiny.options;
  options.prepare = tiny.prepare;
  options.train = test::small_options(30);
  options.train.learning_rate = 1e-3;
  options.train.batch = 8;
  options.train.ranks.zero = 1;
  const auto data = std::make_shared<TrainingData>();
  for (int64_t i = 0; i < 10; ++i) {
    data::Utterance utterance = test::spoken(0.1, 0.5, i % 2 == 0 ? "This frame" : "is sampled at");
    utterance.labels = i % 3 == 0 ? std::vector<std::string>{"happy", "calm"} : std::vector<std::string>{"sad"};
    data->samples.push_back(tiny.clip(uint64_t(10 * i), 3 + i % 3, {utterance}, /*sound=*/i % 4 != 1));
    data->samples.back().index = i;
  }
  for (const int64_t world : {1, 2, 4}) {
    const fs::path run = folder_.path() / std::to_string(world);
    fs::create_directories(run);
    test::run_ranks(world, [&](Group& group) {
      const auto model = build_model(options, *tiny.tokenizer);
      const Task made = microemo_task(options, data, tiny.tokenizer, model, {group.rank(), group.world()});
      Trainer(made, options.train, run, {}, std::shared_ptr<Group>(&group, [](Group*) {})).run();
    });
    expect_close(folder_.path() / "1", run);
  }
}

}  // namespace
}  // namespace microemo::train
