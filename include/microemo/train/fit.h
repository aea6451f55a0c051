#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <torch/nn/module.h>

#include "microemo/checkpoint/load.h"
#include "microemo/checkpoint/tensors.h"
#include "microemo/model/decoder.h"
#include "microemo/model/vit.h"
#include "microemo/train/options.h"

// How a model is made to fit the memory of a machine.

namespace microemo::train {

/// Keeps the matrices that are not trained in the bytes of train.frozen_dtype: bf16 all of them, int8 and nf4 those of the
/// decoder's blocks; auto is bf16 on a GPU and fp32 on a CPU, where bf16 products are slow. Vectors and tables stay fp32. To be
/// called after select_trainable.
void freeze_weights(torch::nn::Module& module, FrozenChoice choice, bool gpu);

/// Throws Error(checkpoint) naming a matrix that freeze_weights would keep in int8 or nf4 and that holds NaN or infinite values:
/// there they would become numbers. To be called before it.
void check_finite(const torch::nn::Module& module, FrozenChoice choice);

/// Throws Error(config) for bf16, int8 or nf4 when freeze_weights has kept no matrix of the module so: the choice would have no
/// effect.
void check_frozen(const torch::nn::Module& module, FrozenChoice choice);

/// Takes in the place of frozen matrices, and of those that are absent, what is loaded for them: each comes as an fp32 matrix or
/// one of another float type, and is kept in the bytes of its kind at once, so that no two lie in fp32 together. `on_filled`, if
/// any, is called with the name of a weight behind it. Taking throws Error(checkpoint) as check_finite does. The module outlives
/// the result.
std::map<std::string, checkpoint::OtherTarget> frozen_targets(const torch::nn::Module& module,
                                                              std::function<void(const std::string&)> on_filled = {});

/// Weights of a run that was trained with them frozen in int8 or nf4, for a load into fp32 matrices or into `targets` that take
/// such: each is brought back when it is taken. `tensors` then lack the scales, and hold placeholders of the shape of those
/// matrices; `targets` gets an entry for each. Throws Error(checkpoint) naming `source` for bytes or scales that are not those of
/// the module's matrix. The module outlives the result.
void thaw_when_taken(checkpoint::NamedTensors& tensors, std::map<std::string, checkpoint::OtherTarget>& targets,
                     const torch::nn::Module& module, const std::filesystem::path& source);

/// Bytes that one block of a decoder keeps for backward of so many tokens, from above: what a block whose every matrix has an
/// adapter keeps. fp32.
double kept_by_block(const model::DecoderOptions& options, int64_t tokens);

/// Bytes that all blocks of the frames' ViT keep for backward of so many pictures, from above. fp32.
double kept_by_pictures(const model::VitShape& shape, int64_t pictures);

/// What is computed again in backward instead of kept.
struct Recomputed {
  std::vector<bool> blocks;                              ///< of the decoder
  bool pictures = false;                                 ///< every block of the frames' ViT
  std::map<std::string, std::vector<bool>> layers = {};  ///< of other parts (MicroEmo::recomputable)
};

/// What is kept where nothing is computed again.
struct KeptBytes {
  double block = 0;     ///< by one block of the decoder
  double pictures = 0;  ///< by the frames' ViT; 0 where it is frozen
};

/// "none", "all", a list such as "0,2,5-9,pictures,video_qformer,faces.0-1", or "auto", which takes the least: the decoder's last
/// blocks as far as `free_bytes` (0: not known) are not enough, and the pictures where all blocks are not. `others` are the parts
/// that may be named with or without numbers of their layers, and how many each has; auto leaves them. Throws Error(config) for
/// what is none of these or names a block or part that is not there.
Recomputed recomputed_parts(const std::string& recompute, int64_t blocks, const KeptBytes& kept, double free_bytes,
                            const std::map<std::string, int64_t>& others = {});

/// Bytes that this process may still take: what the system says is available, or what is left of its cgroup's limit where that
/// is less. Linux; 0 when neither is known.
double available_memory();

/// The type that a choice means on a device; nothing for the types as they are.
std::optional<at::ScalarType> compute_type(ComputeType choice, const at::Device& device);

}  // namespace microemo::train
