#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>

#include "microemo/model/microemo.h"
#include "microemo/text/tokenizer.h"
#include "microemo/train/options.h"

namespace microemo::train {

/// A model for the options and tokenizer, drawn from the seed, or with the weights of init_from. What is trained is chosen, and
/// the other matrices are kept as train.frozen_dtype says, one after the other: beside the finished model no more than one of
/// them lies in fp32. `gpu`: where it will run, for frozen_dtype auto. Throws Error(config), Error(checkpoint).
std::shared_ptr<model::MicroEmo> build_model(const RunOptions& options, const text::Tokenizer& tokenizer, bool gpu = false);

/// The same without values, for a run whose weights come from its checkpoint: nothing is drawn or read.
std::shared_ptr<model::MicroEmo> build_model_to_resume(const RunOptions& options, const text::Tokenizer& tokenizer,
                                                       bool gpu = false);

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
