#include "microemo/train/trainer.h"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <optional>

#include <fmt/ranges.h>

#include "microemo/base/device.h"
#include "microemo/base/error.h"
#include "microemo/base/hash.h"
#include "microemo/base/log.h"
#include "microemo/base/progress.h"
#include "microemo/base/workers.h"
#include "microemo/checkpoint/folder.h"
#include "microemo/parallel/same.h"
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
Error not_finite(const MetricsLine& line, const std::vector<model::ClipBatch>& batches, const parallel::Group& group,
                 const std::vector<std::string>& parameters) {
  const StepResult& result = line.result;
  // The result is the same on every rank: all come here.
  const auto clips = result.suspects.empty() ? group.names(clip_ids(batches)) : result.suspects;
  if (!std::isfinite(result.loss)) return DataError("the loss of step {} is not finite", line.step).at("clips " + listed(clips));
  return DataError("the gradient of step {} is not finite", line.step)
      .at(fmt::format("clips {}; gradients of {}", listed(clips), listed(parameters)));
}

/// Of the process, or what tensors took on its GPU.
double peak_memory_mb(const at::Device& device) {
  if (device.is_cuda()) return static_cast<double>(cuda_memory(device.index()).peak_allocated) / 1e6;
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

/// A GPU is at work when the program has put its work in a queue.
void wait_for(const at::Device& device) {
  if (device.is_cuda()) wait_for_cuda(device.index());
}

void bring_to_device(const Task& task) {
  torch::nn::Module& module = *task.module;
  if (task.on_host.empty()) return module.to(task.device);
  MICROEMO_CHECK(module.parameters(/*recurse=*/false).empty(), "parameters of no child cannot be kept on the CPU");
  for (const auto& child : module.named_children())
    if (std::ranges::find(task.on_host, child.key()) == task.on_host.end()) child.value()->to(task.device);
}

/// What is frozen is made small before it is moved.
AdamW make_optimizer(const Task& task, const TrainOptions& options, const parallel::Group& group) {
  torch::nn::Module& module = *task.module;
  select_trainable(module, options);
  check_finite(module, options.frozen_dtype);
  freeze_weights(module, options.frozen_dtype, task.device.is_cuda());
  if (task.shards) task.shards->to(task.device);
  bring_to_device(task);
  return AdamW(module, options, options.ranks.zero > 0 ? Share{group.rank(), group.world()} : Share{});
}

std::vector<at::Tensor> trained(const torch::nn::Module& module) {
  std::vector<at::Tensor> parameters;
  for (const at::Tensor& parameter : module.parameters())
    if (parameter.requires_grad()) parameters.push_back(parameter);
  return parameters;
}

/// Of the weights that are trained; the others stay as the same files or the same seed made them.
std::string hash_of_trained(const torch::nn::Module& module) {
  std::string hashes;
  for (const auto& item : module.named_parameters()) {
    if (!item.value().requires_grad()) continue;
    const at::Tensor values = item.value().detach().cpu().contiguous();
    hashes += item.key() + sha256({static_cast<const char*>(values.const_data_ptr()), values.nbytes()});
  }
  return sha256(hashes);
}

std::string note(const MetricsLine& line) {
  return fmt::format("loss {:.4f}  {:.1f} clips/s  {:.0f} tokens/s  {:.0f}% waiting for clips  {:.0f} MB", line.result.loss,
                     static_cast<double>(line.result.clips) / line.step_seconds,
                     static_cast<double>(line.result.tokens) / line.step_seconds, 100 * line.wait_seconds / line.step_seconds,
                     line.memory_mb);
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
                 const std::filesystem::path& resume_from, std::shared_ptr<parallel::Group> group)
    : group_(std::move(group)),
      task_(std::move(task)),
      options_(options),
      optimizer_(make_optimizer(task_, options, *group_)),
      average_(*task_.module, options.ema),
      reducer_(*group_, trained(*task_.module), options.ranks.bucket_mb),
      // On the CPU, that thread would take its time from the step.
      batches_(task_.batches, !task_.device.is_cpu()),
      checkpoints_(run, options, *group_),
      best_metric_(best_metric(options.best_metric, task_.terms, bool(task_.answer_scores))),
      run_(run) {
  if (!resume_from.empty()) resume(resume_from);
  if (group_->alone()) return;
  if (task_.shards) task_.shards->connect(*group_);
  parallel::require_same(*group_, {{"the step", std::to_string(state_.step)}, {"the weights", hash_of_trained(*task_.module)}});
  report_ranks();
}

void Trainer::resume(const std::filesystem::path& checkpoint) {
  state_ = load_checkpoint(checkpoint, all_trained());
  checkpoints_.resumed_from(checkpoint, state_);
  if (state_.best_step < 0 || state_.best_metric == best_metric_.name) return;
  log_warning(fmt::format("the best validation so far was that of {}; {} begins anew", state_.best_metric, best_metric_.name));
  state_.best_step = -1;
  state_.worse_validations = 0;
}

void Trainer::report_ranks() const {
  constexpr double mb = 1e6;
  log_info(fmt::format("{} ranks, each sends {:.1f} MB a step and holds {:.1f} of {:.1f} MB of the optimizer's state",
                       group_->world(),
                       parallel::bytes_sent_per_step(parallel::ParameterRanges({optimizer_.ranges().elements()}, group_->world()),
                                                     group_->world(), options_.ranks.zero > 0) /
                           mb,
                       double(optimizer_.state_bytes()) / mb, double(optimizer_.state_bytes_of_all()) / mb));
  if (task_.shards)
    log_info(
        fmt::format("each rank holds {:.1f} of {:.1f} MB of the decoder's frozen weights, and sends {:.1f} MB for a forward and "
                    "backward pass of another",
                    double(task_.shards->bytes_held()) / mb, double(task_.shards->bytes_of_all()) / mb,
                    task_.shards->bytes_sent_per_pass() / double(group_->world() - 1) / mb));
}

RunOutcome Trainer::run(int64_t most_steps, double most_seconds) {
  const Stopwatch watch;
  double longest_step = 0;
  const auto out_of_time = [&] { return most_seconds > 0 && watch.seconds() + longest_step > most_seconds; };
  checkpoints_.wait();
  checkpoints_.check_folder(*group_);
  checkpoints_.prepare(all_trained());
  if (group_->first()) metrics_.emplace(run_ / "metrics.jsonl", state_.step);
  Progress progress("train", "steps", options_.steps);
  progress.skip(state_.step);
  const int64_t last = most_steps > 0 ? std::min(options_.steps, state_.step + most_steps) : options_.steps;
  const auto out_of_patience = [&] { return options_.patience > 0 && state_.worse_validations >= options_.patience; };
  while (state_.step < last && !out_of_patience() && !stops_or_saves(stop_requested() || out_of_time())) {
    const MetricsLine line = train_step();
    if (metrics_ && (state_.step % options_.log_every == 0 || state_.step == options_.steps)) metrics_->write(line);
    longest_step = std::max(longest_step, line.step_seconds);
    progress.add(1, note(line));
    checkpoints_.check();
  }
  save();
  group_->enter(parallel::Phase::checkpoint, state_.step);
  checkpoints_.wait();
  metrics_.reset();
  group_->barrier();
  const bool early = state_.step < options_.steps && out_of_patience();
  return {early || state_.step >= options_.steps,
          state_.step,
          checkpoint::step_folder(run_, state_.step),
          early,
          state_.best_step,
          longest_stall_s_};
}

/// Between two steps: whether any rank wants to stop, and a checkpoint when rank 0's clock or the step asks for one.
bool Trainer::stops_or_saves(bool stop) {
  const bool due = group_->first() && state_.step > 0 && checkpoints_.due(state_);
  const auto votes = group_->sums({stop ? 1.0 : 0.0, due ? 1.0 : 0.0});
  if (votes[1] > 0) {
    const Stopwatch stall;
    save();
    longest_stall_s_ = std::max(longest_stall_s_, stall.seconds());
  }
  return votes[0] > 0;
}

void Trainer::save() {
  if (!checkpoints_.writes()) return;
  group_->enter(parallel::Phase::checkpoint, state_.step);
  // A checkpoint stands for the lines up to its step.
  checkpoints_.save(state_, all_trained(), [this] {
    if (metrics_) metrics_->sync();
  });
}

MetricsLine Trainer::train_step() {
  const Stopwatch watch;
  group_->enter(reported_ ? parallel::Phase::step : parallel::Phase::first_step, state_.step + 1);
  const std::vector<model::ClipBatch> batches = batches_.take(state_.step, state_.step + 1 < options_.steps);
  MetricsLine line{.step = state_.step + 1, .learning_rate = learning_rate(options_, state_.step)};
  line.wait_seconds = watch.seconds();
  std::optional<FlopCounter> counter;
  if (!reported_) counter.emplace();
  optimizer_.clear_gradients();
  line.result = forward_backward(task_, batches, reducer_);
  if (counter) report_first_step(static_cast<double>(counter->stop()), line.result.clips);
  update(line, batches);
  ++state_.step;
  if (options_.valid_every > 0 && task_.validation_batches > 0 && state_.step % options_.valid_every == 0) validate_model(line);
  line.step_seconds = watch.seconds();
  line.memory_mb = peak_memory_mb(task_.device);
  line.seconds = state_.seconds += line.step_seconds;
  return line;
}

void Trainer::update(MetricsLine& line, const std::vector<model::ClipBatch>& batches) {
  constexpr int64_t most_skipped_in_a_row = 10;
  const std::vector<at::Tensor> gradients = optimizer_.gradients(), norms = gradient_norms(gradients);
  if (line.step % options_.log_every == 0 || line.step == options_.steps) line.gradient_norms = optimizer_.norms_by_part(norms);
  line.result.gradient_norm = clip_gradients(gradients, norms, options_.clip_norm).item<double>();
  if (std::isfinite(line.result.loss) && std::isfinite(line.result.gradient_norm)) {
    skipped_in_a_row_ = 0;
    optimizer_.step(line.learning_rate);
    optimizer_.share_updates(*group_, options_.ranks.bucket_mb);
    average_.update();
  } else {
    const Error error = not_finite(line, batches, *group_, optimizer_.not_finite());
    const bool goes_on = options_.non_finite == NonFinite::skip && ++skipped_in_a_row_ < most_skipped_in_a_row;
    if (!goes_on)
      throw Error(error).hint(
          "look at these clips, or lower train.learning_rate; the last checkpoint is kept and can be resumed");
    line.skipped = true;
    log_warning(fmt::format("{}, and is skipped: {}", error.message(), error.place()));
  }
  if (options_.deterministic) line.weights = hash_of_trained(*task_.module);
}

void Trainer::validate_model(MetricsLine& line) {
  group_->enter(parallel::Phase::validation, state_.step);
  const auto work = [&] { line.validation = validate(task_, *group_); };
  if (options_.valid_ema)
    average_.instead_of_weights(work);
  else
    work();
  note_validation(line.validation);
}

void Trainer::note_validation(const ValidationResult& result) {
  const auto found = result.find(best_metric_.name);
  if (found == result.end() && options_.patience == 0 && !options_.keep_best) return;
  if (found == result.end())
    throw ConfigError("the validation gave no {}: nothing of it is counted in its clips", best_metric_.name)
        .at("train.best_metric")
        .hint("choose a metric of what the model is trained for (model.alignment), or other clips for validation");
  const bool better = state_.best_step < 0 || best_metric_.better(found->second, state_.best_value);
  if (better && std::isfinite(found->second)) {
    state_.best_metric = best_metric_.name;
    state_.best_value = found->second;
    state_.best_step = state_.step;
    state_.worse_validations = 0;
  } else {
    ++state_.worse_validations;
  }
}

void Trainer::report_first_step(double flop, int64_t clips) {
  reported_ = true;
  const double flop_per_clip = group_->sums({flop}).front() / static_cast<double>(clips);
  log_info(fmt::format("{:.2f} GFLOP for a clip and step, {} steps of {} clips", flop_per_clip / 1e9,
                       options_.steps - state_.step, options_.batch));
  const std::vector<std::string> untouched = optimizer_.without_gradient();
  if (!untouched.empty())
    log_info(fmt::format("{} trainable tensors got no gradient in this step and stay as they are: {}", untouched.size(),
                         listed(untouched)));
}

StepCost Trainer::try_step(const std::vector<model::ClipBatch>& batches) {
  FlopCounter counter;
  const StepResult result = forward_backward(task_, batches, reducer_);
  const double flop = group_->sums({static_cast<double>(counter.stop())}).front();
  optimizer_.clear_gradients();
  wait_for(task_.device);
  const Stopwatch watch;
  forward_backward(task_, batches, reducer_);
  wait_for(task_.device);
  const double seconds = watch.seconds();
  optimizer_.clear_gradients();
  return {seconds, flop / static_cast<double>(result.clips), result.clips, result.rows, peak_memory_mb(task_.device)};
}

}  // namespace microemo::train
