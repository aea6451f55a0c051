#include "microemo/train/load_run.h"

#include "microemo/base/error.h"
#include "microemo/base/json.h"
#include "microemo/base/log.h"
#include "microemo/checkpoint/folder.h"
#include "microemo/checkpoint/load.h"
#include "microemo/data/sample.h"
#include "microemo/nn/init.h"

namespace microemo::train {
namespace {

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

void load_weights(model::MicroEmo& model, const std::filesystem::path& run_or_checkpoint, bool partial) {
  const std::filesystem::path file = checkpoint::find_checkpoint(run_or_checkpoint) / "model.safetensors";
  const checkpoint::LoadReport report = checkpoint::load_into(
      model, checkpoint::read_tensors(file), {.source = file, .allow_missing = partial, .allow_unexpected = partial});
  if (!partial) return;
  log_info(fmt::format("{}\n  tensors loaded: {}\n  not in it:      {}\n  left aside:     {}", file.string(),
                       counted_parts(report.loaded), counted_parts(report.missing), counted_parts(report.unexpected)));
}

std::shared_ptr<model::MicroEmo> make_model(const RunOptions& options, const text::Tokenizer& tokenizer) {
  const model::InputShapes shapes = data::input_shapes(options.prepare, tokenizer.size());
  const int64_t rows = options.model.decoder.vocabulary;
  if (rows > 0 && rows < shapes.vocabulary)
    throw ConfigError("model.decoder.vocabulary is {}, and the tokenizer has {} tokens", rows, shapes.vocabulary)
        .at("model.decoder.vocabulary and train.tokenizer")
        .hint("leave model.decoder.vocabulary at 0, which takes the tokenizer's size");
  return std::make_shared<model::MicroEmo>(options.model, shapes);
}

}  // namespace

std::shared_ptr<model::MicroEmo> build_model(const RunOptions& options, const text::Tokenizer& tokenizer) {
  auto model = make_model(options, tokenizer);
  nn::initialise(*model, static_cast<uint64_t>(options.train.seed));
  for (const std::string& start : options.train.init_from) load_weights(*model, start, options.train.init_partial);
  return model;
}

LoadedRun load_run(const std::filesystem::path& run_or_checkpoint) {
  LoadedRun run;
  run.checkpoint = checkpoint::find_checkpoint(run_or_checkpoint);
  const std::filesystem::path config = run.checkpoint / "config.json", state = run.checkpoint / "state.json";
  options_from_json(run.options, read_json(config), config);
  run.step = json_get<int64_t>(read_json(state), "step", state);
  run.tokenizer = std::make_shared<text::Tokenizer>(run.checkpoint / "tokenizer.model");
  run.model = make_model(run.options, *run.tokenizer);
  load_weights(*run.model, run.checkpoint, /*partial=*/false);
  run.model->eval();
  return run;
}

}  // namespace microemo::train
