// Frozen weights that are cut over two ranks, which are threads here with a device for each.
#include <barrier>

#include <ATen/ops/arange.h>

#include "host_kernels.h"
#include "infer/tiny_model.h"
#include "microemo/checkpoint/folder.h"
#include "microemo/parallel/frozen_shards.h"
#include "microemo/train/cost.h"
#include "microemo/train/load_run.h"
#include "microemo/train/microemo_task.h"
#include "parallel/ranks.h"
#include "second_device.h"
#include "support/errors.h"
#include "train/support.h"

namespace microemo::train {
namespace {

namespace fs = std::filesystem;
using parallel::FrozenShards;
using parallel::Group;

at::Tensor numbers(at::IntArrayRef shape, at::ScalarType type, int64_t from) {
  return at::arange(from, from + c10::multiply_integers(shape)).view(shape).remainder(101).to(type);
}

/// Five blocks of different sizes and types, on the device of the rank, with copies to compare with.
struct Held {
  explicit Held(Group& group) : blocks(make()), copies(make()), shards(blocks, group.rank(), group.world()) {
    shards.store_rest();
    shards.to(test::second_device(int(group.rank())));
    shards.connect(group);
  }
  static std::vector<FrozenShards::Block> make() {
    std::vector<FrozenShards::Block> blocks;
    for (int64_t i = 0; i < 5; ++i) {
      const std::string prefix = "block" + std::to_string(i) + ".";
      blocks.push_back({{prefix + "weight", numbers({7 + i, 13}, at::kBFloat16, 100 * i)},
                        {prefix + "bytes", numbers({1000 + 100 * i}, at::kByte, 100 * i + 9)}});
    }
    return blocks;
  }
  void expect_there(int64_t block) const {
    for (size_t i = 0; i < blocks[size_t(block)].size(); ++i) {
      const at::Tensor& tensor = blocks[size_t(block)][i].second;
      EXPECT_FALSE(tensor.is_cpu());
      EXPECT_TRUE(tensor.cpu().equal(copies[size_t(block)][i].second)) << block << ", " << i;
    }
  }
  void expect_given(int64_t block) {
    shards.need(block, -1);
    expect_there(block);
    EXPECT_LE(present(), 2);
  }
  int64_t present() const {
    return std::count_if(blocks.begin(), blocks.end(),
                         [](const auto& block) { return block.front().second.storage().nbytes() > 0; });
  }
  void pass(const std::vector<int64_t>& wanted) {
    shards.begin_pass();
    for (const int64_t block : wanted) expect_given(block);
    shards.end_pass();
  }

  std::vector<FrozenShards::Block> blocks, copies;
  FrozenShards shards;
};

TEST(ShardsOnADevice, AreGatheredInPassesWhateverARankNeedsOfThem) {
  test::run_ranks(2, [](Group& group) {
    Held held(group);
    EXPECT_EQ(held.present(), 0);
    held.pass({0, 1, 2, 3, 4, 4, 3, 2, 1, 0});
    held.pass(group.first() ? std::vector<int64_t>{0, 1, 1, 2, 3, 4, 3, 2, 1, 0} : std::vector<int64_t>{});
    held.pass(group.first() ? std::vector<int64_t>{2, 4, 2} : std::vector<int64_t>{0, 1, 2, 3, 4, 4, 3});
    for (int64_t turn = 0; turn < 3 * group.rank(); ++turn) held.pass({0, 1, 2, 3, 4, 3, 2, 1, 0});
    held.shards.join_passes(true);
    // Without gradients, a pass begins with the first block and ends with the last.
    for (int64_t turn = 0; turn < 4 - 3 * group.rank(); ++turn)
      for (const int64_t block : {0, 1, 2, 3, 4}) held.expect_given(block);
    held.shards.join_passes(false);
    held.pass({0, 1, 2, 3, 4, 3, 2, 1, 0});
    group.barrier();
  });
}

TEST(ShardsOnADevice, TheNextBlockComesWhileOneIsComputedWith) {
  std::barrier both(2);
  test::run_ranks(2, [&](Group& group) {
    Held held(group);
    held.shards.begin_pass();
    for (const int64_t block : {0, 1, 2, 3}) {
      if (group.first()) held.shards.need(block, -1);
      // The other rank is a block ahead, which it would not be given if this one had not begun to send it.
      if (!group.first() && block == 0) held.shards.need(0, -1);
      if (!group.first()) held.expect_given(block + 1);
      both.arrive_and_wait();
      if (group.first()) held.expect_there(block);
    }
    held.shards.end_pass();
    group.barrier();
  });
}

TEST(ShardsOnADevice, GiveWholeTensorsToAnotherThreadMeanwhile) {
  test::run_ranks(2, [](Group& group) {
    Held held(group);
    std::jthread other([&held] {
      for (int turn = 0; turn < 5; ++turn)
        for (const auto& block : held.copies)
          for (const auto& [name, copy] : block) EXPECT_TRUE(held.shards.whole(name).equal(copy)) << name;
    });
    for (int64_t turn = 0; turn < 10; ++turn) held.pass({0, 1, 2, 3, 4, 3, 2, 1, 0});
    other.join();
    group.barrier();
  });
}

TEST(ShardsOnADevice, BlocksOutOfOrderAndPassesInPassesAreMistakes) {
  test::run_ranks(2, [](Group& group) {
    Held held(group);
    held.shards.begin_pass();
    test::expect_error(
        ErrorKind::internal, [&] { held.shards.begin_pass(); }, "begins in another one");
    held.expect_given(3);
    held.expect_given(2);
    test::expect_error(
        ErrorKind::internal, [&] { held.shards.need(3, -1); }, "block 3 is needed behind block 2");
    held.shards.end_pass();
    test::expect_error(
        ErrorKind::internal, [&] { held.shards.to(at::kCPU); }, "in use");
    group.barrier();
  });
}

TEST(ShardsOnADevice, MoveOnlyWithoutMemoryOfTheirOwn) {
  FrozenShards shards(Held::make(), 0, 2);
  test::expect_error(
      ErrorKind::internal, [&] { shards.to(test::second_device()); }, "is moved before it is stored");
}

TEST(ShardsOnADevice, ARankThatIsGoneIsAnErrorOfLostRanks) {
  test::run_ranks(2, [&](Group& group) {
    auto held = std::make_unique<Held>(group);
    group.barrier();
    if (group.first()) return held.reset();
    test::expect_error(
        ErrorKind::environment,
        [&] {
          held->pass({0, 1, 2});
        },
        "rank 1 lost the other ranks");
    EXPECT_TRUE(group.lost());
  });
}

class ShardedOnADevice : public testing::Test {
 protected:
  ShardedOnADevice() {
    options_.model = tiny_.options;
    options_.model.decoder.layers = 5;
    options_.model.decoder.lora = {.rank = 2, .alpha = 4, .dropout = 0.1, .targets = {"query", "value"}};
    options_.prepare = tiny_.prepare;
    options_.train = test::small_options(steps);
    options_.train.learning_rate = 1e-3;
    options_.train.batch = 3;  // one rank has two clips, the other one
    options_.train.micro_batch = 1;
    options_.train.frozen = {"decoder.block*.weight"};
    options_.train.trainable = {"*"};
    for (int64_t i = 0; i < 6; ++i) {
      data::Utterance utterance = test::spoken(0.1, 0.5, i % 2 == 0 ? "This frame" : "is sampled at");
      utterance.labels = {i % 3 == 0 ? "happy" : "sad"};
      data_->samples.push_back(tiny_.clip(uint64_t(10 * i), 3 + i % 3, {utterance}, /*sound=*/i % 4 != 1));
      data_->samples.back().index = i;
    }
    data_->validation = {data_->samples.begin(), data_->samples.begin() + 3};
    set_device_kernels(&test::host_kernels());
  }
  ~ShardedOnADevice() override { set_device_kernels(nullptr); }

  void train(const fs::path& run, bool sharded, int64_t most_steps = 0, bool resumed = false) {
    fs::create_directories(run);
    write_json(run / "config.json", Json::object());
    RunOptions options = options_;
    options.train.ranks.shard_frozen = sharded;
    test::run_ranks(2, [&](Group& group) {
      const Share share{group.rank(), group.world()};
      const BuiltModel built = build_for_training(options, *tiny_.tokenizer, {.resumed = resumed, .share = share});
      EXPECT_EQ(built.shards != nullptr, sharded);
      Task task = microemo_task(options, data_, tiny_.tokenizer, built.model, share, test::second_device(int(group.rank())));
      task.shards = built.shards;
      Trainer trainer(task, options.train, run, resumed ? checkpoint::find_latest(run)->path : fs::path(),
                      std::shared_ptr<Group>(&group, [](Group*) {}));
      trainer.run(most_steps);
    });
  }
  void expect_same(const std::string& one, const std::string& other) const {
    EXPECT_EQ(test::timeless_metrics(run(one)), test::timeless_metrics(run(other)));
    for (const char* file : {"model.safetensors", "optimizer.safetensors"})
      EXPECT_EQ(read_file(checkpoint::step_folder(run(one), steps) / file),
                read_file(checkpoint::step_folder(run(other), steps) / file));
  }
  fs::path run(const std::string& name) const { return folder_.path() / name; }

  static constexpr int64_t steps = 3;
  const test::TinyModel tiny_;
  RunOptions options_;
  std::shared_ptr<TrainingData> data_ = std::make_shared<TrainingData>();
  TemporaryFolder folder_;
};

TEST_F(ShardedOnADevice, TrainsAsOneThatIsWholeToTheBit) {
  for (const char* recompute : {"none", "all", "0,2-3"})
    for (const FrozenChoice choice : {FrozenChoice::fp32, FrozenChoice::bf16, FrozenChoice::nf4}) {
      options_.train.recompute = recompute;
      options_.train.frozen_dtype = choice;
      const std::string name = fmt::format("recompute {}, choice {}", recompute, int(choice));
      SCOPED_TRACE(name);
      train(run("whole " + name), false);
      train(run("cut " + name), true);
      expect_same("whole " + name, "cut " + name);
    }
}

TEST_F(ShardedOnADevice, ARankWithoutClipsHelpsTheOther) {
  options_.train.batch = 1;
  train(run("whole"), false);
  train(run("cut"), true);
  expect_same("whole", "cut");
}

TEST_F(ShardedOnADevice, ValidatesAndAnswersAsOneThatIsWhole) {
  options_.train.valid_every = 2;
  options_.train.valid_answers = 3;
  options_.train.valid_tokens = 5;
  train(run("whole"), false);
  train(run("cut"), true);
  expect_same("whole", "cut");
}

/// Rank 0 asks for the weights twice as often as it trains; the others give them until it is done.
TEST_F(ShardedOnADevice, ItsCostIsToldByAStepThatChangesNothing) {
  options_.train.ranks.shard_frozen = true;
  options_.train.frozen = {"decoder.*"};
  test::run_ranks(2, [&](Group& group) {
    const Share share{group.rank(), group.world()};
    const BuiltModel built = build_for_training(options_, *tiny_.tokenizer, {.share = share});
    Task task = microemo_task(options_, data_, tiny_.tokenizer, built.model, share, test::second_device(int(group.rank())));
    task.shards = built.shards;
    Trainer trainer(task, options_.train, run("none"), {}, std::shared_ptr<Group>(&group, [](Group*) {}));
    const std::vector<model::ClipBatch> batches = task.batches(0);
    const StepCost cost = trainer.try_step(batches);
    EXPECT_GT(cost.flop_per_clip, 0);
    if (group.first()) {
      std::map<std::string, PartCost> parts;
      for (const PartCost& part : cost_of_parts(task, batches)) parts[part.part] = part;
      EXPECT_LT(parts.at("decoder").weights_mb, 4e-6 * double(parts.at("decoder").frozen)) << "half of the blocks lie elsewhere";
      EXPECT_GT(parts.at("decoder").forward_s, 0);
      EXPECT_GT(parts.at("decoder").backward_s, 0);
      EXPECT_GT(parts.at("video_qformer").backward_s, 0);
    }
    task.shards->join_passes(/*backward=*/true);
    group.barrier();
    for (const at::Tensor& parameter : built.model->parameters()) EXPECT_FALSE(parameter.grad().defined());
  });
  EXPECT_FALSE(fs::exists(run("none")));
}

TEST_F(ShardedOnADevice, IsResumedBitForBit) {
  options_.train.frozen_dtype = FrozenChoice::nf4;
  train(run("whole"), false);
  train(run("cut"), true, 1);
  train(run("cut"), true, 0, /*resumed=*/true);
  expect_same("whole", "cut");
}

}  // namespace
}  // namespace microemo::train
