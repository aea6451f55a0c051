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

namespace {

Json to_json(const TrainState& state) {
  Json json = {{"step", state.step}, {"seconds", state.seconds}};
  if (state.best_step < 0) return json;
  json["best_step"] = state.best_step;
  json["best_valid_loss"] = state.best_valid_loss;
  json["worse_validations"] = state.worse_validations;
  return json;
}

}  // namespace

Checkpoints::Checkpoints(std::filesystem::path run, const TrainOptions& options)
    : run_(std::move(run)),
      save_every_(options.save_every),
      keep_last_(options.keep_last),
      save_minutes_(options.save_minutes),
      keep_best_(options.keep_best) {}

void Checkpoints::resumed_from(const std::filesystem::path& checkpoint, const TrainState& state) {
  std::error_code absent;
  if (std::filesystem::equivalent(checkpoint, checkpoint::step_folder(run_, state.step), absent)) saved_step_ = state.step;
}

bool Checkpoints::due(const TrainState& state) const {
  const std::chrono::duration<double, std::ratio<60>> since = std::chrono::steady_clock::now() - saved_at_;
  if (keep_best_ && state.best_step == state.step) return true;
  return (save_every_ > 0 && state.step % save_every_ == 0) || (save_minutes_ > 0 && since.count() >= save_minutes_);
}

std::filesystem::path Checkpoints::save(const TrainState& state, const torch::nn::Module& module, const AdamW& optimizer) {
  const std::filesystem::path folder = checkpoint::step_folder(run_, state.step);
  if (saved_step_ == state.step) return folder;
  checkpoint::PendingFolder pending(folder);
  checkpoint::write_tensors(pending.path() / model_file, checkpoint::tensors_of(module), {{"format", "pt"}});
  checkpoint::write_tensors(pending.path() / optimizer_file, optimizer.state());
  write_json(pending.path() / state_file, to_json(state));
  copy_description(run_, pending.path());
  pending.commit();
  checkpoint::prune_checkpoints(run_, keep_last_, keep_best_ ? state.best_step : -1);
  saved_step_ = state.step;
  saved_at_ = std::chrono::steady_clock::now();
  return folder;
}

TrainState load_checkpoint(const std::filesystem::path& folder, torch::nn::Module& module, AdamW& optimizer) {
  const std::filesystem::path model = folder / model_file, optimizer_state = folder / optimizer_file, state = folder / state_file;
  checkpoint::load_into(module, checkpoint::read_tensors(model), {.source = model, .exact_type = true});
  optimizer.load_state(checkpoint::read_tensors(optimizer_state), optimizer_state);
  const Json json = read_json(state);
  TrainState result{.step = json_get<int64_t>(json, "step", state), .seconds = json_get<double>(json, "seconds", state)};
  result.best_step = json_get_or<int64_t>(json, "best_step", -1, state);
  result.best_valid_loss = json_get_or(json, "best_valid_loss", result.best_valid_loss, state);
  result.worse_validations = json_get_or<int64_t>(json, "worse_validations", 0, state);
  return result;
}

}  // namespace microemo::train
