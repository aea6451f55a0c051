#include "microemo/train/checkpoints.h"

#include "microemo/base/json.h"
#include "microemo/checkpoint/folder.h"
#include "microemo/checkpoint/load.h"
#include "microemo/train/run_folder.h"

namespace microemo::train {
namespace {

constexpr const char* model_file = "model.safetensors";
constexpr const char* optimizer_file = "optimizer.safetensors";
constexpr const char* state_file = "state.json";

}  // namespace

Checkpoints::Checkpoints(std::filesystem::path run, const TrainOptions& options)
    : run_(std::move(run)), save_every_(options.save_every), keep_last_(options.keep_last), save_minutes_(options.save_minutes) {}

void Checkpoints::resumed_from(const std::filesystem::path& checkpoint, const TrainState& state) {
  std::error_code absent;
  if (std::filesystem::equivalent(checkpoint, checkpoint::step_folder(run_, state.step), absent)) saved_step_ = state.step;
}

bool Checkpoints::due(const TrainState& state) const {
  const std::chrono::duration<double, std::ratio<60>> since = std::chrono::steady_clock::now() - saved_at_;
  return (save_every_ > 0 && state.step % save_every_ == 0) || (save_minutes_ > 0 && since.count() >= save_minutes_);
}

std::filesystem::path Checkpoints::save(const TrainState& state, const torch::nn::Module& module, const AdamW& optimizer) {
  const std::filesystem::path folder = checkpoint::step_folder(run_, state.step);
  if (saved_step_ == state.step) return folder;
  checkpoint::PendingFolder pending(folder);
  checkpoint::write_tensors(pending.path() / model_file, checkpoint::tensors_of(module), {{"format", "pt"}});
  checkpoint::write_tensors(pending.path() / optimizer_file, optimizer.state());
  write_json(pending.path() / state_file, {{"step", state.step}, {"seconds", state.seconds}});
  copy_description(run_, pending.path());
  pending.commit();
  checkpoint::prune_checkpoints(run_, keep_last_);
  saved_step_ = state.step;
  saved_at_ = std::chrono::steady_clock::now();
  return folder;
}

TrainState load_checkpoint(const std::filesystem::path& folder, torch::nn::Module& module, AdamW& optimizer) {
  const std::filesystem::path model = folder / model_file, optimizer_state = folder / optimizer_file, state = folder / state_file;
  checkpoint::load_into(module, checkpoint::read_tensors(model), {.source = model, .exact_type = true});
  optimizer.load_state(checkpoint::read_tensors(optimizer_state), optimizer_state);
  const Json json = read_json(state);
  return {json_get<int64_t>(json, "step", state), json_get<double>(json, "seconds", state)};
}

}  // namespace microemo::train
