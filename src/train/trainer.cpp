#include "microemo/train/trainer.h"

#include <sys/resource.h>

#include <chrono>
#include <cmath>
#include <map>
#include <optional>

#include <fmt/ranges.h>

#include "microemo/base/error.h"
#include "microemo/base/log.h"
#include "microemo/base/progress.h"
#include "microemo/base/workers.h"
#include "microemo/train/fit.h"
#include "microemo/train/flops.h"
#include "microemo/train/run_folder.h"
#include "microemo/train/schedule.h"

namespace microemo::train {
namespace {

class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count(); }

 private:
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

std::string listed(const std::vector<std::string>& names) {
  constexpr size_t most = 16;
  if (names.size() <= most) return fmt::format("{}", fmt::join(names, ", "));
  return fmt::format("{} and {} more", fmt::join(names.begin(), names.begin() + most, ", "), names.size() - most);
}

std::vector<std::string> clip_ids(const std::vector<model::ClipBatch>& batches) {
  std::vector<std::string> ids;
  for (const model::ClipBatch& batch : batches) ids.insert(ids.end(), batch.ids.begin(), batch.ids.end());
  return ids;
}

/// `step` counts from 1.
void check_finite(const StepResult& result, int64_t step, const std::vector<model::ClipBatch>& batches) {
  if (std::isfinite(result.loss) && std::isfinite(result.gradient_norm)) return;
  const char* what = std::isfinite(result.loss) ? "gradient" : "loss";
  throw DataError("the {} of step {} is not finite", what, step)
      .at("clips " + listed(result.suspects.empty() ? clip_ids(batches) : result.suspects))
      .hint("look at these clips, or lower train.learning_rate; the last checkpoint is kept and can be resumed");
}

double peak_memory_mb() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

bool has_gpu_parameters(const torch::nn::Module& module) {
  const auto parameters = module.parameters();
  return !parameters.empty() && parameters.front().is_cuda();
}

AdamW make_optimizer(torch::nn::Module& module, const TrainOptions& options) {
  select_trainable(module, options);
  freeze_weights(module, options.frozen_dtype, has_gpu_parameters(module));
  return AdamW(module, options);
}

std::string note(const MetricsLine& line) {
  return fmt::format("loss {:.4f}  {:.1f} clips/s", line.result.loss, static_cast<double>(line.result.clips) / line.step_seconds);
}

}  // namespace

std::string parameter_table(const torch::nn::Module& module) {
  struct Row {
    int64_t trainable = 0, frozen = 0;
  };
  std::vector<std::pair<std::string, Row>> rows;
  Row all;
  for (const auto& item : module.named_parameters()) {
    const std::string part = item.key().substr(0, item.key().find('.'));
    if (rows.empty() || rows.back().first != part) rows.push_back({part, {}});
    for (Row* row : {&rows.back().second, &all})
      (item.value().requires_grad() ? row->trainable : row->frozen) += item.value().numel();
  }
  rows.push_back({"all", all});
  std::string text = fmt::format("{:<20}{:>14}{:>14}", "parameters", "trainable", "frozen");
  for (const auto& [part, row] : rows) text += fmt::format("\n{:<20}{:>14}{:>14}", part, row.trainable, row.frozen);
  return text;
}

Trainer::Trainer(Task task, const TrainOptions& options, const std::filesystem::path& run,
                 const std::filesystem::path& resume_from)
    : task_(std::move(task)),
      options_(options),
      optimizer_(make_optimizer(*task_.module, options)),
      checkpoints_(run, options),
      run_(run) {
  if (resume_from.empty()) return;
  state_ = load_checkpoint(resume_from, *task_.module, optimizer_);
  checkpoints_.resumed_from(resume_from, state_);
}

RunOutcome Trainer::run(int64_t most_steps) {
  MetricsFile metrics(run_ / "metrics.jsonl", state_.step);
  Progress progress("train", "steps", options_.steps);
  progress.skip(state_.step);
  const auto save = [&] {
    metrics.sync();
    return checkpoints_.save(state_, *task_.module, optimizer_);
  };
  const int64_t last = most_steps > 0 ? std::min(options_.steps, state_.step + most_steps) : options_.steps;
  while (state_.step < last && !stop_requested()) {
    const MetricsLine line = train_step();
    if (state_.step % options_.log_every == 0 || state_.step == options_.steps) metrics.write(line);
    progress.add(1, note(line));
    if (checkpoints_.due(state_)) save();
  }
  const std::filesystem::path checkpoint = save();
  return {state_.step == options_.steps, state_.step, checkpoint};
}

MetricsLine Trainer::train_step() {
  const Stopwatch watch;
  const std::vector<model::ClipBatch> batches = task_.batches(state_.step);
  MetricsLine line{.step = state_.step + 1, .learning_rate = learning_rate(options_, state_.step)};
  std::optional<FlopCounter> counter;
  if (!reported_) counter.emplace();
  optimizer_.clear_gradients();
  line.result = forward_backward(task_, batches);
  if (counter) report_first_step(static_cast<double>(counter->stop()) / static_cast<double>(line.result.clips));
  line.result.gradient_norm = clip_gradients(optimizer_.gradients(), options_.clip_norm).item<double>();
  check_finite(line.result, line.step, batches);
  optimizer_.step(line.learning_rate);

  ++state_.step;
  if (options_.valid_every > 0 && task_.validation_batches > 0 && state_.step % options_.valid_every == 0)
    line.valid_loss = validation_loss(task_);
  line.step_seconds = watch.seconds();
  line.seconds = state_.seconds += line.step_seconds;
  return line;
}

void Trainer::report_first_step(double flop_per_clip) {
  reported_ = true;
  log_info(fmt::format("{:.2f} GFLOP for a clip and step, {} steps of {} clips", flop_per_clip / 1e9,
                       options_.steps - state_.step, options_.batch));
  const std::vector<std::string> untouched = optimizer_.without_gradient();
  if (!untouched.empty())
    log_info(fmt::format("{} trainable tensors got no gradient in this step and stay as they are: {}", untouched.size(),
                         listed(untouched)));
}

StepCost Trainer::try_step() {
  const std::vector<model::ClipBatch> batches = task_.batches(state_.step);
  FlopCounter counter;
  const StepResult result = forward_backward(task_, batches);
  const double flop = static_cast<double>(counter.stop());
  optimizer_.clear_gradients();
  const Stopwatch watch;
  forward_backward(task_, batches);
  const double seconds = watch.seconds();
  optimizer_.clear_gradients();
  return {seconds, flop / static_cast<double>(result.clips), result.clips, result.rows, peak_memory_mb()};
}

}  // namespace microemo::train
