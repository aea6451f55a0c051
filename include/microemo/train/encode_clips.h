#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "microemo/base/workers.h"
#include "microemo/model/microemo.h"
#include "microemo/parallel/group.h"
#include "microemo/text/tokenizer.h"
#include "microemo/train/microemo_task.h"
#include "microemo/train/options.h"

// train.encoder_cache: what frozen encoders give for a clip is the same in every step, so it is computed once and kept in files.

namespace microemo::train {

/// Encoders whose tokens are kept.
struct KeptEncoders {
  bool frames = false;   ///< the ViT of whole frames, where all of it is frozen
  bool queries = false;  ///< then the tokens of the image Q-Former in place of its own, where that is frozen, drops no numbers
                         ///< and drops its text
  bool sound = false;  ///< a public encoder of pieces of sound, where all of it is frozen and a clip's are the same in every step
  /// Children of the model that no step runs then. The ViT is not among them where it reads faces too.
  std::vector<std::string> not_run = {};
};

/// Those of a model whose trained parameters are chosen (select_trainable). Throws Error(config) when there are none, or frames
/// are changed at random (train.augment).
KeptEncoders kept_encoders(const RunOptions& options, const model::MicroEmo& model);

/// What came of encode_clips.
struct EncodedClips {
  KeptEncoders kept;
  int64_t clips = 0,
          encoded = 0;   ///< contents of clips, and entries that this call has written, one for each encoder; of all ranks
  bool stopped = false;  ///< it had to stop before all were there: the same call goes on
};

/// Fills options.train.encoder_cache with what is missing there for the clips to train and to validate on, and makes them read it
/// (data::Sample): pixels and samples that no step needs any more are given up, and frames that load_training_data left out are
/// read where steps need them. The model has its weights, or gets those of the encoders from `checkpoint`, unless that is empty;
/// they are on the CPU before and after, and compute on `device`. Ranks share the clips; each then encodes what it does not see
/// of the others, where they have no folder in common. Shows progress. Between two clips it
/// asks whether it `stops`, on any rank. Called by all ranks. Throws Error(config) as kept_encoders does, Error(environment) when
/// a file cannot be written, Error(data) for a clip whose tokens are not finite.
EncodedClips encode_clips(const RunOptions& options, TrainingData& data, const std::shared_ptr<const text::Tokenizer>& tokenizer,
                          model::MicroEmo& model, const std::filesystem::path& checkpoint, const at::Device& device,
                          parallel::Group& group, const std::function<bool()>& stops = stop_requested);

}  // namespace microemo::train
