#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "microemo/data/sample.h"
#include "microemo/model/microemo.h"
#include "microemo/text/tokenizer.h"
#include "microemo/train/batches.h"
#include "microemo/train/options.h"
#include "microemo/train/step.h"

namespace microemo::train {

/// Clips with the utterances that can be asked about, in memory.
struct TrainingData {
  std::vector<data::Sample> samples, validation;
  std::vector<std::string> missing;  ///< clips that the cache lacks (only with allow_missing)
  std::string manifest_hash, valid_manifest_hash;
};

/// Reads manifests and cache as the options say. Throws Error(config) for an option that is missing, Error(data) when no clip has
/// the split (naming those there are), a clip is not in the cache, or a clip has no utterance with an answer or labels. Without
/// `frames` the pixels of whole frames are not read, which encode_clips then does as far as they are needed.
TrainingData load_training_data(const RunOptions& options, bool frames = true);

/// Clips of 10 s with three utterances (fewer where the decoder takes fewer), for a dry run without a manifest: a batch of them,
/// with vectors for the model's features.
TrainingData pattern_data(const RunOptions& options);

/// Utterances with an answer or labels: those that can be trained on.
std::vector<int64_t> trainable_questions(const data::Clip& clip);

/// What Trainer trains. `data` and `tokenizer` are shared, the model is the task's module. Clips, questions and augmentation of a
/// step are those of the whole batch, whatever part of it is this rank's. The model is brought to the device by the trainer.
Task microemo_task(const RunOptions& options, std::shared_ptr<const TrainingData> data,
                   std::shared_ptr<const text::Tokenizer> tokenizer, std::shared_ptr<model::MicroEmo> model, Share share = {},
                   const at::Device& device = at::kCPU);

/// Counts of the model's loss terms, from the labels alone (see model::LossTerm).
TermCounts count_terms(const model::ClipBatch& batch, const model::ModelOptions& options);

}  // namespace microemo::train
