#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>

#include "microemo/model/microemo.h"
#include "microemo/parallel/frozen_shards.h"
#include "microemo/text/tokenizer.h"
#include "microemo/train/batches.h"
#include "microemo/train/options.h"

namespace microemo::train {

/// A model for the options and tokenizer, drawn from the seed, or with the weights of init_from. What is trained is chosen, and
/// the other matrices are kept as train.frozen_dtype says, one after the other: beside the finished model no more than one of
/// them lies in fp32. Throws Error(config), Error(checkpoint).
std::shared_ptr<model::MicroEmo> build_model(const RunOptions& options, const text::Tokenizer& tokenizer);

/// Where and for what a model is built.
struct BuildPlace {
  bool gpu = false;      ///< decides frozen_dtype auto
  bool resumed = false;  ///< the values come from a checkpoint: nothing is drawn or read
  Share share = {};      ///< with train.ranks.shard_frozen
};

struct BuiltModel {
  std::shared_ptr<model::MicroEmo> model;
  std::shared_ptr<parallel::FrozenShards> shards;  ///< with train.ranks.shard_frozen among several ranks
};

/// The same, whose frozen weights of the decoder's blocks never lie whole in this rank with train.ranks.shard_frozen: its blocks
/// bring them together, once the shards are connected. Throws Error(config) when there are none.
BuiltModel build_for_training(const RunOptions& options, const text::Tokenizer& tokenizer, const BuildPlace& place);

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
