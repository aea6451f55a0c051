#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>

#include "microemo/model/microemo.h"
#include "microemo/text/tokenizer.h"
#include "microemo/train/options.h"

namespace microemo::train {

/// A model for the options and tokenizer, drawn from the seed, or with the
/// weights of init_from. Throws Error(config),
/// Error(checkpoint).
std::shared_ptr<model::MicroEmo> build_model(const RunOptions& options, const text::Tokenizer& tokenizer);

/// A trained model, ready to be asked.
struct LoadedRun {
  RunOptions options;
  std::filesystem::path checkpoint;
  int64_t step = 0;
  std::shared_ptr<const text::Tokenizer> tokenizer;
  std::shared_ptr<model::MicroEmo> model;
};
/// Opens a run folder (its newest whole checkpoint) or a checkpoint folder; needs nothing outside of it. `averaged` takes the
/// averages of the weights that were trained (train.ema). The model is brought to `device`. Throws Error(checkpoint), also when
/// there are none.
LoadedRun load_run(const std::filesystem::path& run_or_checkpoint, bool averaged = false, const at::Device& device = at::kCPU);

}  // namespace microemo::train
