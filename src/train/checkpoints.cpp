#include "microemo/train/checkpoints.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <fmt/ranges.h>

#include "microemo/base/error.h"
#include "microemo/base/files.h"
#include "microemo/base/json.h"
#include "microemo/base/log.h"
#include "microemo/checkpoint/load.h"
#include "microemo/checkpoint/tensor_writer.h"
#include "microemo/train/run_folder.h"

namespace microemo::train {
namespace {

namespace fs = std::filesystem;

constexpr const char* model_file = "model.safetensors";
constexpr const char* average_file = "ema.safetensors";
constexpr const char* state_file = "state.json";

/// Writers of this process at work.
struct AtWork {
  std::mutex mutex;
  std::condition_variable changed;
  int64_t writers = 0;

  static AtWork& here() {
    static AtWork one;
    return one;
  }
  void add(int64_t count) {
    {
      const std::lock_guard lock(mutex);
      writers += count;
    }
    changed.notify_all();
  }
};

std::string part_file(int64_t rank, int64_t parts) {
  return parts == 1 ? "optimizer.safetensors" : fmt::format("optimizer-rank-{}-of-{}.safetensors", rank, parts);
}

/// Row-major in memory that is kept from one checkpoint to the next: new pages cost more than the copy. From a device it is on
/// its way on return.
void copy_into(at::Tensor& buffer, const at::Tensor& values) {
  if (!buffer.defined()) buffer = at::empty(values.sizes(), values.options().device(at::kCPU).pinned_memory(values.is_cuda()));
  buffer.copy_(values, /*non_blocking=*/true);
}

void copy_into(checkpoint::NamedTensors& buffers, const checkpoint::NamedTensors& tensors) {
  for (const auto& [name, tensor] : tensors) copy_into(buffers[name], tensor);
}

/// Of what is not kept on the CPU (Task::on_host).
at::Device device_of(const torch::nn::Module& module) {
  for (const at::Tensor& parameter : module.parameters())
    if (!parameter.is_cpu()) return parameter.device();
  return at::kCPU;
}

/// Until all that was asked of the device is done.
void wait_for(const at::Device& device) {
  if (!device.is_cpu()) c10::impl::VirtualGuardImpl(device.type()).getStream(device).synchronize();
}

Json to_json(const TrainState& state, int64_t parts) {
  Json json = {{"step", state.step}, {"seconds", state.seconds}, {"optimizer_parts", parts}};
  if (state.best_step >= 0)
    json["best"] = {{"metric", state.best_metric},
                    {"value", state.best_value},
                    {"step", state.best_step},
                    {"worse_validations", state.worse_validations}};
  return json;
}

TrainState read_state(const Json& json, const fs::path& source) {
  TrainState state{.step = json_get<int64_t>(json, "step", source), .seconds = json_get<double>(json, "seconds", source)};
  if (!json.contains("best")) return state;
  const Json& best = json.at("best");
  state.best_metric = json_get<std::string>(best, "metric", source);
  state.best_value = json_get<double>(best, "value", source);
  state.best_step = json_get<int64_t>(best, "step", source);
  state.worse_validations = json_get<int64_t>(best, "worse_validations", source);
  return state;
}

/// The state of all ranks together.
checkpoint::NamedTensors read_parts(const fs::path& folder, int64_t parts) {
  const std::vector<std::string> named = checkpoint::files_in_manifest(folder);
  checkpoint::NamedTensors state;
  for (int64_t rank = 0; rank < parts; ++rank) {
    const std::string file = part_file(rank, parts);
    if (std::find(named.begin(), named.end(), file) == named.end())
      throw CheckpointError("manifest.json does not name {}, a part of the optimizer's state", file)
          .where(folder)
          .hint("use another checkpoint of the run");
    state.merge(checkpoint::read_tensors(folder / file));
  }
  return state;
}

/// Of a tensor that the shards hold, this rank keeps its piece.
std::map<std::string, checkpoint::OtherTarget> shard_targets(const Trained& trained) {
  std::map<std::string, checkpoint::OtherTarget> targets;
  if (!trained.shards) return targets;
  for (const auto& [name, tensor] : checkpoint::tensors_of(trained.module))
    if (trained.shards->holds(name))
      targets[name] = {tensor, [shards = trained.shards, name = name](const at::Tensor& given) { shards->store(name, given); }};
  return targets;
}

}  // namespace

Checkpoints::Checkpoints(fs::path run, const TrainOptions& options)
    : run_(std::move(run)),
      save_every_(options.save_every),
      keep_last_(options.keep_last),
      save_minutes_(options.save_minutes),
      keep_best_(options.keep_best) {}

Checkpoints::Checkpoints(fs::path run, const TrainOptions& options, parallel::Group& group)
    : Checkpoints(std::move(run), options) {
  rank_ = group.rank();
  if (options.ranks.zero == 0 || group.alone()) return;
  parts_ = group.world();
  limit_s_ = options.ranks.limit_s(parallel::Phase::checkpoint);
  mail_ = group.mail();
}

void Checkpoints::resumed_from(const fs::path& checkpoint, const TrainState& state) {
  std::error_code absent;
  if (fs::equivalent(checkpoint, checkpoint::step_folder(run_, state.step), absent)) saved_step_ = state.step;
}

bool Checkpoints::due(const TrainState& state) const {
  const std::chrono::duration<double, std::ratio<60>> since = std::chrono::steady_clock::now() - saved_at_;
  if (keep_best_ && state.best_step == state.step) return true;
  return (save_every_ > 0 && state.step % save_every_ == 0) || (save_minutes_ > 0 && since.count() >= save_minutes_);
}

void Checkpoints::save(const TrainState& state, const Trained& trained, std::function<void()> before) {
  if (!writes() || saved_step_ == state.step) return;
  wait();
  take(state, trained);
  AtWork::here().add(1);
  writer_.start([this, hook = std::move(before), device = device_of(trained.module)](const std::stop_token& stop) {
    const std::shared_ptr<void> until_the_end(nullptr, [](void*) { AtWork::here().add(-1); });
    at::set_num_threads(1);  // of this thread alone: the step at work needs the processors
    // Frozen weights, which do not change, are read from a GPU beside the step's work, not in its queue.
    std::optional<c10::StreamGuard> aside;
    if (device.is_cuda()) aside.emplace(c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device));
    if (hook) hook();
    rank_ == 0 ? write_first(stop) : write_part(stop);
  });
  saved_step_ = state.step;
  saved_at_ = std::chrono::steady_clock::now();
}

void Checkpoints::wait() {
  try {
    writer_.wait();
  } catch (...) {
    saved_step_ = -1;
    throw;
  }
}

void Checkpoints::prepare(const Trained& trained) {
  if (writes()) take({}, trained);
}

/// Rank 0 leaves a mark, and the others look for it; a network's file system may show it late.
void Checkpoints::check_folder(const parallel::Group& group) const {
  constexpr int looks = 30;
  constexpr std::chrono::milliseconds between_looks{100};
  if (parts_ == 1) return;
  const fs::path mark = run_ / ".seen-by-all-ranks";
  const std::string word = group.from_first(fmt::format("{}", std::chrono::system_clock::now().time_since_epoch().count()));
  const auto seen = [&] {
    std::error_code absent;
    return fs::exists(mark, absent) && read_file(mark) == word;
  };
  if (group.first()) write_file_atomic(mark, word);
  group.barrier();
  for (int look = 0; look < looks && !seen(); ++look) std::this_thread::sleep_for(between_looks);
  const auto blind = group.names(seen() ? std::vector<std::string>{} : std::vector{fmt::format("rank {}", group.rank())});
  if (group.first()) fs::remove(mark);
  if (blind.empty()) return;
  throw EnvironmentError("{} of {} ranks do not see what rank 0 writes: {}", blind.size(), parts_, fmt::join(blind, ", "))
      .where(run_)
      .hint(
          "with train.ranks.zero=1 every rank writes its part of a checkpoint: name a folder that all machines share, or set "
          "train.ranks.zero=0");
}

void Checkpoints::take(const TrainState& state, const Trained& trained) {
  const at::NoGradGuard no_grad;
  snapshot_.state = state;
  copy_into(snapshot_.optimizer, trained.optimizer.state());
  if (rank_ == 0) take_weights(trained);
  // Once for all copies: the next update changes what they read.
  wait_for(device_of(trained.module));
}

void Checkpoints::take_weights(const Trained& trained) {
  snapshot_.shards = trained.shards;
  for (const auto& item : trained.module.named_parameters())
    if (item.value().requires_grad())
      copy_into(snapshot_.model[item.key()], item.value());
    else
      snapshot_.model[item.key()] = item.value().detach();
  for (const auto& item : trained.module.named_buffers()) snapshot_.model[item.key()] = item.value();
  copy_into(snapshot_.average, trained.average.state());
}

void Checkpoints::write_first(const std::stop_token& stop) const {
  const int64_t step = snapshot_.state.step;
  checkpoint::PendingFolder pending(checkpoint::step_folder(run_, step));
  if (mail_) mail_->send(fmt::format("open/{}", step), pending.path().string());
  write_model(pending.path() / model_file);
  if (!snapshot_.average.empty()) checkpoint::write_tensors(pending.path() / average_file, snapshot_.average, {{"format", "pt"}});
  checkpoint::write_tensors(pending.path() / part_file(0, parts_), snapshot_.optimizer);
  write_json(pending.path() / state_file, to_json(snapshot_.state, parts_));
  copy_description(run_, pending.path());
  pending.commit(other_parts(stop));
  checkpoint::prune_checkpoints(run_, keep_last_, keep_best_ ? snapshot_.state.best_step : -1, step);
}

/// One tensor after the other, as those of the shards come from all ranks.
void Checkpoints::write_model(const fs::path& file) const {
  std::vector<checkpoint::TensorPlan> plan;
  for (const auto& [name, tensor] : snapshot_.model) plan.push_back({name, tensor.scalar_type(), tensor.sizes().vec()});
  checkpoint::write_safetensors_file(file, plan, [this](const checkpoint::TensorPlan& one) {
    const bool in_shards = snapshot_.shards && snapshot_.shards->holds(one.name);
    return in_shards ? snapshot_.shards->whole(one.name) : snapshot_.model.at(one.name);
  });
}

void Checkpoints::write_part(const std::stop_token& stop) const {
  const int64_t step = snapshot_.state.step;
  const std::string answer = fmt::format("part/{}/{}", step, rank_);
  const fs::path file = fs::path(mail_->receive(fmt::format("open/{}", step), limit_s_, stop)) / part_file(rank_, parts_);
  try {
    checkpoint::write_tensors(file, snapshot_.optimizer);
    const checkpoint::FileFacts facts = checkpoint::synced_facts(file);
    mail_->send(answer, Json{{"bytes", facts.bytes}, {"sha256", facts.sha256}}.dump());
  } catch (const Error& error) {
    mail_->send(answer, Json{{"error", error.message()}}.dump());
    throw;
  }
}

std::map<std::string, checkpoint::FileFacts> Checkpoints::other_parts(const std::stop_token& stop) const {
  std::map<std::string, checkpoint::FileFacts> parts;
  for (int64_t rank = 1; rank < parts_; ++rank) {
    const Json told = Json::parse(mail_->receive(fmt::format("part/{}/{}", snapshot_.state.step, rank), limit_s_, stop));
    if (told.contains("error"))
      throw EnvironmentError("rank {} cannot write its part of the checkpoint: {}", rank, told.at("error").get<std::string>())
          .hint("look at the messages of that rank; the last checkpoint is whole and can be resumed");
    parts[part_file(rank, parts_)] = {told.at("bytes").get<uint64_t>(), told.at("sha256").get<std::string>()};
  }
  return parts;
}

bool checkpoints_are_written(double most_s) {
  AtWork& here = AtWork::here();
  std::unique_lock lock(here.mutex);
  return here.changed.wait_for(lock, std::chrono::duration<double>(most_s), [&] { return here.writers == 0; });
}

TrainState load_checkpoint(const fs::path& folder, const Trained& trained) {
  const fs::path model = folder / model_file, state = folder / state_file, average = folder / average_file;
  checkpoint::load_into(trained.module, checkpoint::read_tensors(model),
                        {.source = model, .exact_type = true, .instead = shard_targets(trained)});
  const Json json = read_json(state);
  const auto parts = json_get_or<int64_t>(json, "optimizer_parts", 1, state);
  trained.optimizer.load_state(read_parts(folder, parts), parts == 1 ? folder / part_file(0, 1) : folder);
  if (trained.average.none()) return read_state(json, state);
  if (fs::exists(average)) {
    trained.average.load_state(checkpoint::read_tensors(average), average);
  } else {
    log_warning(fmt::format("{} has no averaged weights: the average begins with the weights", folder.string()));
    trained.average.begin_again();
  }
  return read_state(json, state);
}

}  // namespace microemo::train
