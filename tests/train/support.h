#pragma once
#include <map>
#include <memory>

#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <torch/nn/module.h>

#include "microemo/base/files.h"
#include "microemo/base/json.h"
#include "microemo/base/random.h"
#include "microemo/checkpoint/load.h"
#include "microemo/train/batches.h"
#include "microemo/train/step.h"
#include "microemo/train/trainer.h"
#include "support/errors.h"

namespace microemo::test {

/// A linear regression with a second loss term: parameters "layer.weight" [3, 4], "layer.bias" [3] and "spare.weight" [2, 2],
/// which is part of no loss.
struct Regression : torch::nn::Module {
  struct Part : torch::nn::Module {};
  at::Tensor weight, bias;

  Regression() {
    auto layer = register_module("layer", std::make_shared<Part>());
    weight = layer->register_parameter("weight", fill({3, 4}, 1));
    bias = layer->register_parameter("bias", fill({3}, 2));
    register_module("spare", std::make_shared<Part>())->register_parameter("weight", fill({2, 2}, 3));
  }

  static at::Tensor fill(at::IntArrayRef shape, uint64_t seed) {
    at::Tensor values = at::empty(shape, at::kFloat);
    Random random(seed, "values");
    for (int64_t i = 0; i < values.numel(); ++i) values.mutable_data_ptr<float>()[i] = static_cast<float>(random.normal());
    return values;
  }
};

/// Clip c of step s is noise of 1 + c % 3 rows: clips of unequal weight in the loss.
inline model::ClipBatch noise_batch(int64_t step, const std::vector<int64_t>& clips) {
  model::ClipBatch batch;
  const auto count = static_cast<int64_t>(clips.size());
  batch.mel_BFM = at::zeros({count, 3, 7});
  batch.mel_mask_BF = at::zeros({count, 3}, at::kBool);
  batch.lengths_R = at::full({count}, 5, at::kLong);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t clip = clips[static_cast<size_t>(i)];
    batch.mel_BFM[i].copy_(Regression::fill({3, 7}, static_cast<uint64_t>(100 * step + clip)));
    batch.mel_mask_BF[i].narrow(0, 0, 1 + clip % 3).fill_(true);
    batch.ids.push_back("clip" + std::to_string(clip));
  }
  return batch;
}

inline train::Task regression_task(int64_t batch, int64_t micro_batch, train::Share share = {}) {
  auto module = std::make_shared<Regression>();
  train::Task task;
  task.module = module;
  task.batches = [=](int64_t step) {
    std::vector<model::ClipBatch> batches;
    for (const auto& clips : train::cut(train::share_of(train::clips_of_step(7, 10, batch, step), share), micro_batch))
      batches.push_back(noise_batch(step, clips));
    return batches;
  };
  task.loss = [module](const model::ClipBatch& clips) {
    const at::Tensor error =
        clips.mel_BFM.narrow(2, 0, 4).matmul(module->weight.t()) + module->bias - clips.mel_BFM.narrow(2, 4, 3);
    const at::Tensor answer = (error.square().sum(2) * clips.mel_mask_BF).sum();
    model::BatchLoss loss;
    loss.terms.push_back({"answer", answer, clips.mel_mask_BF.sum().item<double>(), 1.0});
    loss.terms.push_back({"movement", error.abs().sum(), double(clips.mel_BFM.size(0)), 0.5});
    loss.movement_right = at::ones({});
    loss.movement_frames = 1;
    return loss;
  };
  task.counts = [](const model::ClipBatch& clips) {
    return train::TermCounts{{"answer", clips.mel_mask_BF.sum().item<double>()}, {"movement", double(clips.mel_BFM.size(0))}};
  };
  task.terms = {"answer", "movement"};
  return task;
}

inline train::TrainOptions small_options(int64_t steps) {
  train::TrainOptions options;
  options.steps = steps;
  options.warmup_steps = 3;
  options.learning_rate = 0.05;
  options.save_every = 0;
  options.save_minutes = 0;
  return options;
}

/// metrics.jsonl without what a clock decides.
inline std::vector<Json> timeless_metrics(const std::filesystem::path& run) {
  std::vector<Json> lines;
  read_jsonl(run / "metrics.jsonl", [&](const Json& value, int64_t) {
    Json line = value;
    for (const char* key : {"tokens_per_s", "clips_per_s", "seconds", "data_wait_s", "memory_mb"}) line.erase(key);
    lines.push_back(line);
  });
  return lines;
}

inline std::map<std::string, at::Tensor> gradients_of(const torch::nn::Module& module) {
  std::map<std::string, at::Tensor> gradients;
  for (const auto& item : module.named_parameters())
    if (item.value().grad().defined()) gradients[item.key()] = item.value().grad().clone();
  return gradients;
}

/// Relative Euclidean distance over all tensors together.
inline double relative_distance(const std::map<std::string, at::Tensor>& a, const std::map<std::string, at::Tensor>& b) {
  double difference = 0, size = 0;
  for (const auto& [name, tensor] : a) {
    difference += (tensor - b.at(name)).to(at::kDouble).square().sum().item<double>();
    size += tensor.to(at::kDouble).square().sum().item<double>();
  }
  return std::sqrt(difference / size);
}

}  // namespace microemo::test
