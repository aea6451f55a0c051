#include "microemo/train/load_run.h"

#include <functional>
#include <map>
#include <set>

#include "microemo/base/error.h"
#include "microemo/base/json.h"
#include "microemo/base/log.h"
#include "microemo/checkpoint/folder.h"
#include "microemo/checkpoint/load.h"
#include "microemo/data/sample.h"
#include "microemo/model/public_weights.h"
#include "microemo/nn/absent.h"
#include "microemo/nn/init.h"
#include "microemo/nn/linear.h"
#include "microemo/train/fit.h"
#include "microemo/train/optimizer.h"
#include "microemo/train/run_folder.h"

namespace microemo::train {
namespace {

namespace fs = std::filesystem;

/// "decoder (39), alignment (2)": the parts of the model that the tensors belong to.
std::string counted_parts(const std::vector<std::string>& names) {
  std::vector<std::pair<std::string, int64_t>> parts;
  for (const std::string& name : names) {
    const std::string part = name.substr(0, name.find('.'));
    if (parts.empty() || parts.back().first != part) parts.emplace_back(part, 0);
    ++parts.back().second;
  }
  std::string text;
  for (const auto& [part, tensors] : parts) text += fmt::format("{}{} ({})", text.empty() ? "" : ", ", part, tensors);
  return text.empty() ? "none" : text;
}

void report(const fs::path& source, const checkpoint::LoadReport& loaded) {
  log_info(fmt::format("{}\n  tensors loaded: {}\n  not in it:      {}\n  left aside:     {}", source.string(),
                       counted_parts(loaded.loaded), counted_parts(loaded.missing), counted_parts(loaded.unexpected)));
}

/// A file, or a folder of weight files that is no run or checkpoint of ours.
bool is_public(const fs::path& path) {
  if (fs::is_regular_file(path)) return true;
  if (!fs::is_directory(path) || fs::exists(path / "checkpoints") || fs::exists(path / "manifest.json")) return false;
  for (const auto& entry : fs::directory_iterator(path))
    for (const char* extension : {".safetensors", ".bin", ".pth", ".pt"})
      if (entry.path().extension() == extension) return true;
  return false;
}

/// Behind each frozen matrix that has its values.
using OnFilled = std::function<void(const std::string& weight)>;

checkpoint::LoadReport load_run_weights(model::MicroEmo& model, const fs::path& run_or_checkpoint, bool partial,
                                        const OnFilled& on_filled) {
  const fs::path file = checkpoint::find_checkpoint(run_or_checkpoint) / "model.safetensors";
  checkpoint::NamedTensors tensors = checkpoint::read_tensors(file);
  auto targets = frozen_targets(model, on_filled);
  thaw_when_taken(tensors, targets, model, file);
  return checkpoint::load_into(
      model, tensors, {.source = file, .allow_missing = partial, .allow_unexpected = partial, .instead = std::move(targets)});
}

/// The bytes of frozen matrices as the run has them.
void load_frozen_as_they_are(model::MicroEmo& model, const fs::path& checkpoint) {
  const fs::path file = checkpoint / "model.safetensors";
  checkpoint::load_into(model, checkpoint::read_tensors(file), {.source = file});
}

void load_averages(model::MicroEmo& model, const fs::path& checkpoint) {
  const fs::path file = checkpoint / "ema.safetensors";
  if (!fs::exists(file))
    throw CheckpointError("the checkpoint has no averaged weights")
        .where(checkpoint)
        .hint("ask without the average, or train with train.ema");
  checkpoint::load_into(model, checkpoint::read_tensors(file), {.source = file, .allow_missing = true, .exact_type = true});
}

/// The files of init_from, one over the other. What none of them holds is drawn from the seed.
void load_start(model::MicroEmo& model, const TrainOptions& options, const OnFilled& on_filled) {
  std::set<std::string> loaded;
  for (const std::string& start : options.init_from) {
    const bool from_public = is_public(start);
    const checkpoint::LoadReport one =
        from_public ? model::load_public_weights(model, start, options.init_partial, frozen_targets(model, on_filled))
                    : load_run_weights(model, start, options.init_partial, on_filled);
    if (from_public || options.init_partial) report(start, one);
    loaded.insert(one.loaded.begin(), one.loaded.end());
  }
  const std::vector<std::string> drawn = nn::initialise(model, static_cast<uint64_t>(options.seed), loaded, on_filled);
  if (!options.init_from.empty()) log_info("drawn from the seed: " + counted_parts(drawn));
}

/// Without values, and without memory for matrices that are not trained. What will be frozen is so from the start.
std::shared_ptr<model::MicroEmo> make_model(const RunOptions& options, const text::Tokenizer& tokenizer, bool gpu) {
  const model::InputShapes shapes = data::input_shapes(options.prepare, tokenizer.size());
  const int64_t rows = options.model.decoder.vocabulary;
  if (rows > 0 && rows < shapes.vocabulary)
    throw ConfigError("model.decoder.vocabulary is {}, and the tokenizer has {} tokens", rows, shapes.vocabulary)
        .at("model.decoder.vocabulary and train.tokenizer")
        .hint("leave model.decoder.vocabulary at 0, which takes the tokenizer's size");
  const nn::LinearsWithoutWeights without_weights;
  auto model = std::make_shared<model::MicroEmo>(options.model, shapes);
  select_trainable(*model, options.train);
  freeze_weights(*model, options.train.frozen_dtype, gpu);
  return model;
}

std::map<std::string, at::Tensor> parameters_and_buffers(const model::MicroEmo& model) {
  std::map<std::string, at::Tensor> tensors;
  for (const auto& item : model.named_parameters()) tensors[item.key()] = item.value();
  for (const auto& item : model.named_buffers()) tensors[item.key()] = item.value();
  return tensors;
}

/// For all tensors whose values do not go to the shards.
void give_memory(const model::MicroEmo& model, const parallel::FrozenShards* shards) {
  for (const auto& [name, tensor] : parameters_and_buffers(model))
    if (!shards || !shards->holds(name)) nn::give_memory(tensor);
}

/// All that is not trained in the decoder's blocks.
std::shared_ptr<parallel::FrozenShards> shard_decoder(model::MicroEmo& model, const BuildPlace& place) {
  const auto tensors = parameters_and_buffers(model);
  std::vector<parallel::FrozenShards::Block> blocks;
  size_t count = 0;
  for (int64_t i = 0; i < model.decoder().layers(); ++i) {
    const std::string prefix = fmt::format("decoder.block{}.", i);
    parallel::FrozenShards::Block& block = blocks.emplace_back();
    for (auto item = tensors.lower_bound(prefix); item != tensors.end() && item->first.starts_with(prefix); ++item)
      if (!item->second.requires_grad()) block.push_back(*item);
    count += block.size();
  }
  if (count == 0)
    throw ConfigError("it has no effect: every weight of the decoder's blocks is trained")
        .at("train.ranks.shard_frozen")
        .hint("name what is not to be trained in train.frozen or train.trainable, or set train.ranks.shard_frozen=false");
  auto shards = std::make_shared<parallel::FrozenShards>(std::move(blocks), place.share.rank, place.share.world);
  if (shards->bytes_held() >= shards->bytes_of_all())
    log_warning("train.ranks.shard_frozen saves no memory: of so few blocks two are all there is");
  model.decoder().weights_from([shards](int64_t block, int64_t next) { shards->need(block, next); });
  return shards;
}

/// Stores a matrix, with its scales, as soon as it has its values.
OnFilled store_in(parallel::FrozenShards* shards, const model::MicroEmo& model) {
  if (!shards) return {};
  return [shards, tensors = parameters_and_buffers(model)](const std::string& weight) {
    for (const std::string& name : {weight, weight + "_scales"})
      if (shards->holds(name)) shards->store(name, tensors.at(name));
  };
}

/// A missing one is named as it would be there.
fs::path own_tokenizer(const fs::path& checkpoint) {
  const fs::path copied = copied_tokenizer(checkpoint, "tokenizer");
  return copied.empty() ? checkpoint / "tokenizer.model" : copied;
}

}  // namespace

std::shared_ptr<model::MicroEmo> build_model(const RunOptions& options, const text::Tokenizer& tokenizer) {
  return build_for_training(options, tokenizer, {}).model;
}

BuiltModel build_for_training(const RunOptions& options, const text::Tokenizer& tokenizer, const BuildPlace& place) {
  BuiltModel built{make_model(options, tokenizer, place.gpu), nullptr};
  model::MicroEmo& model = *built.model;
  if (options.train.ranks.shard_frozen && place.share.world > 1) built.shards = shard_decoder(model, place);
  give_memory(model, built.shards.get());
  if (!place.resumed) load_start(model, options.train, store_in(built.shards.get(), model));
  if (built.shards) built.shards->store_rest();
  return built;
}

LoadedRun load_run(const std::filesystem::path& run_or_checkpoint, bool averaged, const at::Device& device) {
  LoadedRun run;
  run.checkpoint = checkpoint::find_checkpoint(run_or_checkpoint);
  const std::filesystem::path config = run.checkpoint / "config.json", state = run.checkpoint / "state.json";
  options_from_json(run.options, read_json(config), config);
  run.step = json_get<int64_t>(read_json(state), "step", state);
  run.tokenizer = std::make_shared<text::Tokenizer>(own_tokenizer(run.checkpoint));
  if (const fs::path times = copied_tokenizer(run.checkpoint, "time_tokenizer"); !times.empty())
    run.options.prompt.time_tokenizer = times.string();
  run.model = make_model(run.options, *run.tokenizer, device.is_cuda());
  give_memory(*run.model, nullptr);
  load_frozen_as_they_are(*run.model, run.checkpoint);
  if (averaged) load_averages(*run.model, run.checkpoint);
  run.model->eval();
  run.model->to(device);
  if (const auto type = compute_type(run.options.train.compute_dtype, device)) run.model->compute_in(*type);
  return run;
}

}  // namespace microemo::train
