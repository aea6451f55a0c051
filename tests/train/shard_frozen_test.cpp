// Frozen weights of the decoder's blocks that are cut over ranks, which are threads here.
#include <array>
#include <atomic>

#include "infer/tiny_model.h"
#include "microemo/checkpoint/folder.h"
#include "microemo/nn/absent.h"
#include "microemo/train/cost.h"
#include "microemo/train/load_run.h"
#include "microemo/train/microemo_task.h"
#include "parallel/ranks.h"
#include "support/tensor_memory.h"
#include "train/support.h"

namespace microemo::train {
namespace {

namespace fs = std::filesystem;
using parallel::Group;

class ShardedDecoder : public testing::Test {
 protected:
  ShardedDecoder() {
    options_.model = tiny_.options;
    options_.model.decoder.layers = 5;
    options_.model.decoder.lora = {.rank = 2, .alpha = 4, .dropout = 0.1, .targets = {"query", "value"}};
    options_.prepare = tiny_.prepare;
    options_.train = test::small_options(steps);
    options_.train.learning_rate = 1e-3;
    options_.train.batch = 3;  // of 4 ranks one has no clip
    options_.train.micro_batch = 1;
    options_.train.frozen = {"decoder.block*.weight"};
    options_.train.trainable = {"*"};
    for (int64_t i = 0; i < 6; ++i) {
      data::Utterance utterance = test::spoken(0.1, 0.5, i % 2 == 0 ? "This frame" : "is sampled at");
      utterance.labels = i % 3 == 0 ? std::vector<std::string>{"happy", "calm"} : std::vector<std::string>{"sad"};
      data_->samples.push_back(tiny_.clip(uint64_t(10 * i), 3 + i % 3, {utterance}, /*sound=*/i % 4 != 1));
      data_->samples.back().index = i;
    }
    data_->validation = {data_->samples.begin(), data_->samples.begin() + 3};
  }

  void train(int64_t world, const fs::path& run, bool sharded, int64_t most_steps = 0, bool resumed = false) {
    fs::create_directories(run);
    RunOptions options = options_;
    options.train.ranks.shard_frozen = sharded;
    test::run_ranks(world, [&](Group& group) {
      const Share share{group.rank(), group.world()};
      const BuiltModel built = build_for_training(options, *tiny_.tokenizer, {.resumed = resumed, .share = share});
      EXPECT_EQ(built.shards != nullptr, sharded && world > 1);
      Task task = microemo_task(options, data_, tiny_.tokenizer, built.model, share);
      task.shards = built.shards;
      Trainer trainer(task, options.train, run, resumed ? checkpoint::find_latest(run)->path : fs::path(),
                      std::shared_ptr<Group>(&group, [](Group*) {}));
      trainer.run(most_steps);
    });
  }
  static std::string weights(const fs::path& run, int64_t step) {
    return read_file(checkpoint::step_folder(run, step) / "model.safetensors");
  }
  void expect_same(const fs::path& one, const fs::path& other) const {
    EXPECT_EQ(test::timeless_metrics(one), test::timeless_metrics(other));
    EXPECT_EQ(weights(one, steps), weights(other, steps));
  }
  fs::path run(const std::string& name) const { return folder_.path() / name; }

  static constexpr int64_t steps = 4;
  const test::TinyModel tiny_;
  RunOptions options_;
  std::shared_ptr<TrainingData> data_ = std::make_shared<TrainingData>();
  TemporaryFolder folder_;
};

TEST_F(ShardedDecoder, TrainsAsOneThatIsWholeToTheBit) {
  int number = 0;
  for (const int64_t world : {2, 4})
    for (const char* recompute : {"none", "all", "0,2-3"})
      for (const FrozenChoice choice : {FrozenChoice::fp32, FrozenChoice::bf16, FrozenChoice::nf4}) {
        options_.train.recompute = recompute;
        options_.train.frozen_dtype = choice;
        const fs::path whole = run(fmt::format("whole{}", number)), cut = run(fmt::format("cut{}", number));
        ++number;
        train(world, whole, false);
        train(world, cut, true);
        SCOPED_TRACE(fmt::format("{} ranks, recompute {}, choice {}", world, recompute, int(choice)));
        expect_same(whole, cut);
      }
}

TEST_F(ShardedDecoder, ValidatesAndAnswersAsOneThatIsWhole) {
  options_.train.valid_every = 2;
  options_.train.valid_answers = 3;
  options_.train.valid_tokens = 5;
  options_.train.ranks.zero = 1;
  train(2, run("whole"), false);
  train(2, run("cut"), true);
  expect_same(run("whole"), run("cut"));
}

TEST_F(ShardedDecoder, IsResumedBitForBitAlsoWithOtherRanksAndWhole) {
  options_.train.frozen_dtype = FrozenChoice::nf4;
  train(2, run("whole"), false);
  train(2, run("cut"), true, 2);
  train(2, run("cut"), true, 0, /*resumed=*/true);
  expect_same(run("whole"), run("cut"));
  train(4, run("mixed"), true, 1);
  train(2, run("mixed"), false, 1, /*resumed=*/true);
  train(3, run("mixed"), true, 1, /*resumed=*/true);
  train(1, run("mixed"), true, 0, /*resumed=*/true);
  const auto a = test::timeless_metrics(run("whole")), b = test::timeless_metrics(run("mixed"));
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i)
    EXPECT_NEAR(b[i].at("loss").get<double>(), a[i].at("loss").get<double>(), 1e-5 * a[i].at("loss").get<double>()) << i;
}

TEST_F(ShardedDecoder, IsBuiltWithoutEverBeingWhole) {
  options_.model.decoder.width = 128;
  options_.model.decoder.hidden = 512;
  options_.model.decoder.layers = 12;
  options_.train.ranks.shard_frozen = true;
  constexpr int64_t matrix = 128 * 512 * 4;
  for (const FrozenChoice choice : {FrozenChoice::fp32, FrozenChoice::bf16, FrozenChoice::nf4}) {
    options_.train.frozen_dtype = choice;
    for (const int64_t world : {2, 4}) {
      const test::TensorMemory memory;
      const BuiltModel built = build_for_training(options_, *tiny_.tokenizer, {.share = {.rank = 1, .world = world}});
      int64_t others = 0;
      for (const auto& [name, tensor] : checkpoint::tensors_of(*built.model))
        if (!built.shards->holds(name)) others += int64_t(tensor.nbytes());
      const int64_t pieces = built.shards->bytes_of_all() / world;
      // Rotary tables and the ends of blocks beside.
      EXPECT_LE(memory.bytes(), others + pieces + (int64_t{1} << 19));
      EXPECT_LE(memory.peak(), memory.bytes() + 4 * matrix);
      EXPECT_LT(built.shards->bytes_held(), built.shards->bytes_of_all());
    }
  }
}

TEST_F(ShardedDecoder, WithNothingFrozenIsRefused) {
  options_.train.frozen = {"visual_encoder.*"};
  options_.train.ranks.shard_frozen = true;
  const Error error = test::expect_error(
      ErrorKind::config, [&] { build_for_training(options_, *tiny_.tokenizer, {.share = {.rank = 0, .world = 2}}); },
      "every weight of the decoder's blocks is trained");
  EXPECT_EQ(error.place(), "train.ranks.shard_frozen");
  EXPECT_EQ(build_for_training(options_, *tiny_.tokenizer, {}).shards, nullptr);  // one process
}

TEST_F(ShardedDecoder, CostsWhatARankHolds) {
  options_.train.ranks.shard_frozen = true;
  std::atomic<double> whole = 0, cut = 0, expected = 0;
  test::run_ranks(4, [&](Group& group) {
    const Share share{group.rank(), group.world()};
    const BuiltModel built = build_for_training(options_, *tiny_.tokenizer, {.share = share});
    Task task = microemo_task(options_, data_, tiny_.tokenizer, built.model, share);
    built.shards->connect(group);
    if (group.first()) {
      const auto decoder_mb = [&] {
        for (const PartCost& part : cost_of_parts(task, task.batches(0)))
          if (part.part == "decoder") return part.weights_mb;
        return 0.0;
      };
      whole = decoder_mb();
      task.shards = built.shards;
      cut = decoder_mb();
      expected = double(built.shards->bytes_of_all() - built.shards->bytes_held()) / 1e6;
    }
    group.barrier();
  });
  EXPECT_GT(expected, 0);
  EXPECT_NEAR(whole - cut, expected, 1e-9);
}

}  // namespace
}  // namespace microemo::train
