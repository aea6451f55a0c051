// Training and answering on a device that is not the CPU.
#include "host_kernels.h"
#include "infer/tiny_model.h"
#include "microemo/checkpoint/folder.h"
#include "microemo/infer/generate.h"
#include "microemo/train/checkpoints.h"
#include "microemo/train/cost.h"
#include "microemo/train/encode_clips.h"
#include "microemo/train/fit.h"
#include "microemo/train/flops.h"
#include "microemo/train/load_run.h"
#include "microemo/train/microemo_task.h"
#include "microemo/train/optimizer.h"
#include "parallel/ranks.h"
#include "second_device.h"
#include "train/support.h"

namespace microemo::train {
namespace {

class OnASecondDevice : public testing::Test {
 protected:
  OnASecondDevice() {
    tiny_.options.alignment = {.movement = 0.5, .window_movement = 0.3, .window_voice = 0.2, .none_weight = 0.3};
    options_.model = tiny_.options;
    options_.prepare = tiny_.prepare;
    options_.train = test::small_options(4);
    options_.train.batch = 4;
    options_.train.micro_batch = 2;
    for (uint64_t i = 0; i < 6; ++i) data_->samples.push_back(clip(i));
    data_->validation = {clip(7), clip(8), clip(9)};
    set_device_kernels(&test::host_kernels());
  }
  ~OnASecondDevice() override { set_device_kernels(nullptr); }

  data::Sample clip(uint64_t i) const {
    data::Utterance utterance = test::spoken(0, 0.5, i % 2 == 0 ? "This frame" : "is sampled at");
    utterance.labels = {i % 2 == 0 ? "happy" : "sad"};
    utterance.face = i % 2 == 0 ? "none" : "brow_up";
    utterance.voice = i % 2 == 0 ? "flat" : "lively";
    data::Sample sample = tiny_.clip(10 * i, 4, {utterance});
    sample.index = int64_t(i);
    if (i % 2 == 1) sample.clip.movements.push_back({"brow_up", 0.05, 0.15, 0.25, 0.1, 0});
    return sample;
  }

  Task task(const at::Device& device) {
    model_ = build_model(options_, *tiny_.tokenizer);
    return microemo_task(options_, data_, tiny_.tokenizer, model_, {}, device);
  }

  /// A step's loss, and its gradients on the CPU.
  std::pair<double, std::map<std::string, at::Tensor>> step_on(const at::Device& device) {
    const Task one = task(device);
    select_trainable(*one.module, options_.train);
    freeze_weights(*one.module, options_.train.frozen_dtype, /*gpu=*/false);
    one.module->to(device);
    const double loss = forward_backward(one, one.batches(0)).loss;
    auto gradients = test::gradients_of(*one.module);
    for (auto& [name, gradient] : gradients) {
      EXPECT_EQ(gradient.device(), device) << name;
      gradient = gradient.cpu();
    }
    return {loss, gradients};
  }

  void expect_the_step_of_the_cpu() {
    const auto [wanted, gradients] = step_on(at::kCPU);
    test::host_kernel_calls();
    const auto [loss, others] = step_on(test::second_device());
    EXPECT_GT(test::host_kernel_calls(), 0);
    EXPECT_NEAR(loss, wanted, 1e-6 * wanted);
    EXPECT_EQ(others.size(), gradients.size());
    EXPECT_LT(test::relative_distance(gradients, others), 5e-6);
  }

  std::filesystem::path trained_on(const at::Device& device, const std::string& name, int64_t stop_at = 0) {
    const std::filesystem::path run = folder_.path() / name;
    std::filesystem::create_directories(run);
    write_json(run / "config.json", Json::object());
    if (stop_at > 0) Trainer(task(device), options_.train, run).run(stop_at);
    const auto last = checkpoint::find_latest(run);
    Trainer(task(device), options_.train, run, last ? last->path : std::filesystem::path()).run();
    return run;
  }

  template <class Lines>
  static void expect_near(const Lines& there, const Lines& here) {
    ASSERT_EQ(here.size(), there.size());
    for (size_t i = 0; i < here.size(); ++i)
      for (const char* metric : {"loss", "grad_norm", "valid_loss"}) {
        ASSERT_EQ(here[i].contains(metric), there[i].contains(metric)) << metric;
        if (!here[i].contains(metric)) continue;
        const auto wanted = here[i].at(metric).template get<double>();
        EXPECT_NEAR(there[i].at(metric).template get<double>(), wanted, 1e-5 * wanted) << metric;
      }
  }

  TemporaryFolder folder_;
  test::TinyModel tiny_;
  RunOptions options_;
  std::shared_ptr<model::MicroEmo> model_;
  std::shared_ptr<TrainingData> data_ = std::make_shared<TrainingData>();
};

TEST_F(OnASecondDevice, AStepGivesTheLossAndGradientsOfTheCpu) { expect_the_step_of_the_cpu(); }

TEST_F(OnASecondDevice, AStepWithDropoutDropsTheSameNumbers) {
  options_.model.decoder.lora = {.rank = 2, .alpha = 4, .dropout = 0.3, .targets = {"query", "value", "down"}};
  options_.model.video_qformer.dropout = options_.model.image_qformer.dropout = 0.2;
  expect_the_step_of_the_cpu();
}

TEST_F(OnASecondDevice, AStepWithAdaptersOnSmallFrozenWeights) {
  options_.model.decoder.lora = {.rank = 2, .alpha = 4, .targets = {"query", "value"}};
  options_.train.trainable = {"*lora*", "*projection*", "*qformer*"};
  for (const FrozenChoice choice : {FrozenChoice::nf4, FrozenChoice::int8, FrozenChoice::bf16}) {
    options_.train.frozen_dtype = choice;
    expect_the_step_of_the_cpu();
  }
}

/// Frozen encoders compute on the device before the first step, and then lie where checkpoints take them from.
TEST_F(OnASecondDevice, EncodersThatRunOnceLearnAsOnTheCpu) {
  options_.train.frozen = {"visual_encoder.*", "image_qformer.*"};
  const auto trained = [this](const at::Device& device, const std::string& name) {
    options_.train.encoder_cache = (folder_.path() / (name + "-encoded")).string();
    const auto data = std::make_shared<TrainingData>(*data_);
    for (auto* samples : {&data->samples, &data->validation})
      for (data::Sample& sample : *samples) {
        sample.entry = folder_.path() / (sample.clip.id + ".safetensors");
        data::write_prepared(sample.entry, sample.prepared);
      }
    const auto model = build_model(options_, *tiny_.tokenizer);
    parallel::Group alone;
    const EncodedClips encoded = encode_clips(options_, *data, tiny_.tokenizer, *model, {}, device, alone);
    for (const auto& item : model->named_parameters()) EXPECT_TRUE(item.value().is_cpu()) << item.key();
    Task one = microemo_task(options_, data, tiny_.tokenizer, model, {}, device);
    one.on_host = encoded.kept.not_run;
    const std::filesystem::path run = folder_.path() / name;
    std::filesystem::create_directories(run);
    write_json(run / "config.json", Json::object());
    Trainer(one, options_.train, run).run();
    for (const auto& item : model->named_parameters()) {
      const bool stays = item.key().starts_with("visual_encoder.") || item.key().starts_with("image_qformer.");
      EXPECT_EQ(item.value().device(), stays ? at::Device(at::kCPU) : device) << item.key();
    }
    return test::timeless_metrics(run);
  };
  const auto here = trained(at::kCPU, "here"), there = trained(test::second_device(), "there");
  expect_near(there, here);
}

TEST_F(OnASecondDevice, RecomputedBlocksGiveTheSameStep) {
  options_.train.recompute = "all";
  expect_the_step_of_the_cpu();
}

/// In 16 bits: what trains gets gradients in fp32, near those of fp32.
TEST_F(OnASecondDevice, ComputesInBf16WithWeightsInFp32) {
  options_.model.decoder.lora = {.rank = 2, .alpha = 4, .targets = {"query", "value"}};
  for (const char* trainable : {"*", "*lora*"}) {
    options_.train.trainable = {trainable};
    options_.train.compute_dtype = ComputeType::fp32;
    const auto [wanted, gradients] = step_on(at::kCPU);
    options_.train.compute_dtype = ComputeType::bf16;
    for (const at::Device& device : {at::Device(at::kCPU), test::second_device()}) {
      const auto [loss, others] = step_on(device);
      EXPECT_NE(loss, wanted);
      EXPECT_NEAR(loss, wanted, 2e-2 * wanted);
      ASSERT_EQ(others.size(), gradients.size());
      for (const auto& [name, gradient] : others) EXPECT_EQ(gradient.scalar_type(), at::kFloat) << name;
      EXPECT_LT(test::relative_distance(gradients, others), 0.05);
    }
  }
}

TEST_F(OnASecondDevice, ARunLearnsAsOnTheCpu) {
  options_.train.valid_every = 2;
  options_.train.ema = 0.9;
  const auto here = test::timeless_metrics(trained_on(at::kCPU, "here"));
  EXPECT_TRUE(here[1].contains("valid_loss"));
  expect_near(test::timeless_metrics(trained_on(test::second_device(), "there")), here);
}

TEST_F(OnASecondDevice, AStoppedRunGoesOnBitForBit) {
  const auto whole = trained_on(test::second_device(), "whole"), parts = trained_on(test::second_device(), "parts", 2);
  for (const char* file : {"model.safetensors", "optimizer.safetensors"})
    EXPECT_EQ(read_file(checkpoint::find_latest(whole)->path / file), read_file(checkpoint::find_latest(parts)->path / file));
  EXPECT_EQ(test::timeless_metrics(whole), test::timeless_metrics(parts));
}

/// Backward runs in another thread there.
TEST_F(OnASecondDevice, OperationsAndCostsOfBackwardAreCounted) {
  const auto count_on = [&](const at::Device& device) {
    const Task one = task(device);
    one.module->to(device);
    FlopCounter counter;
    forward_backward(one, one.batches(0));
    return counter.stop();
  };
  const int64_t wanted = count_on(at::kCPU);
  EXPECT_GT(wanted, 0);
  // There a product calls the form that fills an output, by the same name: told twice. Forward alone would be two thirds.
  const double ratio = double(count_on(test::second_device())) / double(wanted);
  EXPECT_GT(ratio, 1.5);
  EXPECT_LT(ratio, 2.5);
  const Task one = task(test::second_device());
  one.module->to(one.device);
  double backward_s = 0;
  for (const PartCost& part : cost_of_parts(one, one.batches(0))) backward_s += part.backward_s;
  EXPECT_GT(backward_s, 0);
}

TEST_F(OnASecondDevice, AStepWaitsOnceAtItsEnd) {
  const model::ModelOptions given = options_.model;
  const auto expect_one_wait = [&](const char* of) {
    const Task one = task(test::second_device());
    one.module->to(one.device);
    const auto batches = one.batches(0);
    ASSERT_EQ(batches.size(), 2u);
    const int64_t before = test::second_device_waits();
    forward_backward(one, batches);
    EXPECT_EQ(test::second_device_waits() - before, 1) << of;
    options_.model = given;
  };
  expect_one_wait("all that is looked at, listened to and aligned");
  options_.model.alignment = {};
  expect_one_wait("answers alone");
  options_.model.local.attention = model::GlobalLocal::faces_ask;
  options_.model.video_qformer.window.windows = model::Windows::sliding;
  options_.model.audio.window.whole_reader = model::WholeReader::own_layers;
  expect_one_wait("other windows");
  options_.model.video_qformer.nothing_token = options_.model.audio.nothing_token = false;
  expect_one_wait("clips that have to be seen and heard");
  options_.model.video_qformer.pooling = model::VideoPooling::attention;
  options_.model.audio.pooling = model::Pooling::attention;
  options_.model.fusion.enabled = true;
  expect_one_wait("pools and their fusion");
}

TEST_F(OnASecondDevice, ACheckpointWaitsOnceForItsCopies) {
  options_.train.ema = 0.9;
  const Task one = task(test::second_device());
  one.module->to(one.device);
  AdamW optimizer(*one.module, options_.train);
  WeightAverage average(*one.module, options_.train.ema);
  Checkpoints checkpoints(folder_.path(), options_.train);
  const int64_t waits = test::second_device_waits(), copies = test::second_device_copies();
  checkpoints.prepare({*one.module, optimizer, average});
  EXPECT_EQ(test::second_device_waits() - waits, 1);
  EXPECT_GT(test::second_device_copies() - copies, 40);
}

TEST_F(OnASecondDevice, AnswersAreThoseOfTheCpu) {
  const data::Sample sample = clip(3);
  const auto answer_on = [&](const at::Device& device, const infer::SamplingOptions& sampling) {
    tiny_.model->to(device);
    return infer::generate_answers(*tiny_.model, *tiny_.builder, {&sample}, {{0, 0}},
                                   {.max_new_tokens = 12, .sampling = sampling});
  };
  for (const infer::SamplingOptions& sampling :
       {infer::SamplingOptions{}, infer::SamplingOptions{.temperature = 1, .top_k = 20}}) {
    const auto here = answer_on(at::kCPU, sampling), there = answer_on(test::second_device(), sampling);
    EXPECT_EQ(here[0].text, there[0].text);
    EXPECT_NEAR(here[0].log_probability, there[0].log_probability, 1e-4);
  }
}

/// Tensors of a device without NCCL go from rank to rank over the CPU.
TEST_F(OnASecondDevice, TwoRanksGiveTheStepOfOne) {
  const auto [wanted, gradients] = step_on(test::second_device());
  std::vector<Task> tasks;
  for (const int64_t rank : {0, 1}) {
    auto model = build_model(options_, *tiny_.tokenizer);
    tasks.push_back(microemo_task(options_, data_, tiny_.tokenizer, model, {rank, 2}, test::second_device()));
    model->to(test::second_device());
  }
  test::run_ranks(2, [&](parallel::Group& group) {
    const Task& own = tasks[size_t(group.rank())];
    std::vector<at::Tensor> parameters = own.module->parameters();
    parallel::GradientReducer reducer(group, parameters, 0.01);
    const StepResult result = forward_backward(own, own.batches(0), reducer);
    EXPECT_NEAR(result.loss, wanted, 1e-6 * wanted);
    auto others = test::gradients_of(*own.module);
    for (auto& [name, gradient] : others) gradient = gradient.cpu();
    EXPECT_LT(test::relative_distance(gradients, others), 5e-6);
  });
}

}  // namespace
}  // namespace microemo::train
