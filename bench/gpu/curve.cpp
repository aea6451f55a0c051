#include "curve.h"

#include <cmath>
#include <cstdio>

#include "infer/tiny_model.h"
#include "microemo/train/load_run.h"
#include "microemo/train/microemo_task.h"
#include "microemo/train/trainer.h"

namespace microemo {
namespace {

constexpr int64_t steps = 20;

data::Sample clip(const test::TinyModel& tiny, uint64_t i) {
  data::Utterance utterance = test::spoken(0, 0.5, i % 2 == 0 ? "This frame" : "is sampled at");
  utterance.labels = {i % 2 == 0 ? "happy" : "sad"};
  data::Sample sample = tiny.clip(10 * i, 4, {utterance});
  sample.index = int64_t(i);
  return sample;
}

std::vector<double> losses(const test::TinyModel& tiny, const at::Device& device) {
  train::RunOptions options;
  options.model = tiny.options;
  options.model.decoder.lora = {.rank = 2, .alpha = 4, .dropout = 0.1, .targets = {"query", "value"}};
  options.prepare = tiny.prepare;
  options.train.steps = steps;
  options.train.batch = 4;
  options.train.micro_batch = 2;
  options.train.learning_rate = 1e-3;
  options.train.save_every = 0;
  options.train.save_minutes = 0;
  options.train.compute_dtype = train::ComputeType::fp32;
  options.train.frozen_dtype = train::FrozenChoice::fp32;
  const auto data = std::make_shared<train::TrainingData>();
  for (uint64_t i = 0; i < 12; ++i) data->samples.push_back(clip(tiny, i));
  const TemporaryFolder folder;
  write_json(folder.path() / "config.json", Json::object());
  const auto model = train::build_model(options, *tiny.tokenizer);
  train::Trainer(train::microemo_task(options, data, tiny.tokenizer, model, {}, device), options.train, folder.path()).run();
  std::vector<double> found;
  read_jsonl(folder.path() / "metrics.jsonl", [&](const Json& line, int64_t) { found.push_back(line.at("loss").get<double>()); });
  return found;
}

}  // namespace

bool same_curve(const at::Device& device) {
  const test::TinyModel tiny;
  const std::vector<double> here = losses(tiny, at::kCPU), there = losses(tiny, device);
  double worst = here.size() == size_t(steps) && there.size() == here.size() ? 0 : 1;
  for (size_t i = 0; i < std::min(here.size(), there.size()); ++i)
    worst = std::max(worst, std::abs(here[i] - there[i]) / std::abs(here[i]));
  std::printf("loss %.5f -> %.5f on the CPU, %.5f -> %.5f on the device; largest relative difference %.1e\n", here.front(),
              here.back(), there.front(), there.back(), worst);
  return worst <= 1e-4;
}

}  // namespace microemo
