// What of the public runner differs in silence from what one would write: tests/reference/lavis.py makes the values.
#include <ATen/ops/cross_entropy_loss.h>

#include "microemo/base/json.h"
#include "microemo/checkpoint/key_map.h"
#include "microemo/checkpoint/tensors.h"
#include "microemo/nn/loss.h"
#include "microemo/train/optimizer.h"
#include "microemo/train/schedule.h"
#include "train/support.h"

namespace microemo::train {
namespace {

const std::filesystem::path source = MICROEMO_SOURCE_DIR, data = source / "tests/data/train";

TrainOptions lavis_options(const Json& run) {
  TrainOptions options;
  Json lavis;
  for (const char* key : {"first_epoch", "iterations_per_epoch", "iterations_per_step", "lowest_rate", "warmup_rate"})
    lavis[key] = run.at(key);
  options_from_json(options,
                    {{"schedule", "lavis"},
                     {"lavis", lavis},
                     {"steps", run.at("rates").size()},
                     {"learning_rate", run.at("learning_rate")},
                     {"warmup_steps", run.at("warmup_steps")}},
                    "run");
  return options;
}

TEST(ParityChecklist, LearningRatesWarmUpByTheIndexInTheEpochAndFallAlongACosineThatIsNotShifted) {
  const Json runs = read_json(data / "lavis.json");
  ASSERT_EQ(runs.size(), 6u);
  for (const Json& run : runs) {
    const TrainOptions options = lavis_options(run);
    for (int64_t step = 0; step < options.steps; ++step)
      EXPECT_NEAR(learning_rate(options, step), run.at("rates").at(size_t(step)).get<double>(), 1e-17)
          << run.at("name") << ", step " << step;
  }
}

TEST(ParityChecklist, AffectGptsEpochsFromOneSkipTheWarmUpAndRunTheCosineAnEpochTooFar) {
  TrainOptions options;
  options_from_json(options, {{"schedule", "lavis"}, {"lavis", {{"first_epoch", 1}}}, {"steps", 100'000}}, "run");
  options.learning_rate = 3e-5;
  options.warmup_steps = 1000;
  EXPECT_NEAR(learning_rate(options, 0), 3e-5, 1e-8);
  EXPECT_NEAR(learning_rate(options, 98'999), 1e-5, 1e-14);
  EXPECT_GT(learning_rate(options, 99'999), learning_rate(options, 98'999));
}

struct Layer : torch::nn::Module {
  at::Tensor weight = register_parameter("weight", checkpoint::read_tensors(data / "lavis.safetensors").at("weight").clone());
};

/// The micro-batches of the file; the loss reads them by their number.
Task recorded_task(Normalise normalise) {
  const auto layer = std::make_shared<Layer>();
  const auto recorded = checkpoint::read_tensors(data / "lavis.safetensors");
  Task task;
  task.module = layer;
  task.normalise = normalise;
  const auto numbered = [recorded](const char* name, const model::ClipBatch& batch) { return recorded.at(name + batch.ids[0]); };
  task.batches = [](int64_t) {
    std::vector<model::ClipBatch> batches(3);
    for (size_t i = 0; i < batches.size(); ++i) {
      batches[i].ids = {std::to_string(i)};
      batches[i].lengths_R = at::full({1}, 6, at::kLong);
    }
    return batches;
  };
  task.counts = [numbered](const model::ClipBatch& batch) {
    return TermCounts{{"answer", numbered("labels", batch).ne(nn::ignored_label).sum().item<double>()}};
  };
  task.loss = [=, counts = task.counts](const model::ClipBatch& batch) {
    const at::Tensor logits = numbered("inputs", batch).matmul(layer->weight.t());
    const int64_t sum = 2;
    model::BatchLoss loss;
    loss.terms.push_back({"answer", at::cross_entropy_loss(logits, numbered("labels", batch), {}, sum, nn::ignored_label),
                          counts(batch).at("answer"), 1.0});
    return loss;
  };
  return task;
}

at::Tensor gradient(Normalise normalise) {
  const Task task = recorded_task(normalise);
  forward_backward(task, task.batches(0));
  return test::gradients_of(*task.module).at("weight");
}

TEST(ParityChecklist, GradientsOfMicroBatchesAddUpWithoutBeingDivided) {
  const auto recorded = checkpoint::read_tensors(data / "lavis.safetensors");
  EXPECT_LT((gradient(Normalise::sum) - recorded.at("gradient/sum")).abs().max().item<double>(), 1e-6);
  EXPECT_LT((gradient(Normalise::micro_batch) - recorded.at("gradient/micro_batch")).abs().max().item<double>(), 1e-6);
  EXPECT_LT((gradient(Normalise::tokens) - recorded.at("gradient/tokens")).abs().max().item<double>(), 1e-6);
  EXPECT_GT((recorded.at("gradient/tokens") - recorded.at("gradient/micro_batch")).abs().max().item<double>(), 1e-2);
}

TEST(ParityChecklist, WeightDecayGoesByDimensionsAndNames) {
  struct Part : torch::nn::Module {};
  torch::nn::Module module;
  for (const char* name : {"queries", "ln_table", "lora_A", "bias_table", "bn0", "norm"})
    module.register_parameter(name, at::zeros({2, 3}));
  module.register_parameter("position", at::zeros({3}));
  TrainOptions options;
  options.decay_rule = DecayRule::lavis;
  EXPECT_THAT(AdamW(module, options).decaying(), testing::ElementsAre("queries", "lora_A", "norm"));
}

struct Configured {
  RunOptions options;
  explicit Configured(const std::string& name) { load_config(options, {source / "configs" / name / "train.yaml"}, {}); }
};

TEST(ParityChecklist, TheLineagesTrainWithTheRunnersQuirks) {
  for (const char* name : {"timechat", "video-llama", "affectgpt-2024", "affectgpt-2025"}) {
    const TrainOptions options = Configured(name).options.train;
    EXPECT_EQ(options.schedule, Schedule::lavis) << name;
    EXPECT_EQ(options.normalise, Normalise::sum) << name;
    EXPECT_EQ(options.decay_rule, DecayRule::lavis) << name;
    EXPECT_EQ(options.clip_norm, 0) << name;
    EXPECT_EQ(options.lavis.first_epoch, std::string(name).starts_with("affectgpt") ? 1 : 0) << name;
    EXPECT_EQ(options.steps % (options.lavis.iterations_per_epoch / options.lavis.iterations_per_step), 0) << name;
  }
  EXPECT_EQ(Configured("timechat").options.train.steps, 3 * 22'000 / 4);
}

}  // namespace
}  // namespace microemo::train
