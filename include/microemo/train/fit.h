#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <torch/nn/module.h>

#include "microemo/checkpoint/tensors.h"
#include "microemo/model/decoder.h"
#include "microemo/train/options.h"

// How a model is made to fit the memory of a machine.

namespace microemo::train {

/// Keeps the matrices that are not trained in the bytes of train.frozen_dtype: bf16 all of them, int8 and nf4 those of the
/// decoder's blocks; auto is bf16 on a GPU and fp32 on a CPU, where bf16 products are slow. Vectors and tables stay fp32. To be
/// called after select_trainable.
void freeze_weights(torch::nn::Module& module, FrozenChoice choice, bool gpu);

/// Weights of a run that was trained with them frozen in int8 or nf4, as the fp32 matrices that `module` has; the others as they
/// are. Throws Error(checkpoint) naming `source` for bytes or scales that are not those of the module's matrix.
checkpoint::NamedTensors thawed_weights(checkpoint::NamedTensors tensors, const torch::nn::Module& module,
                                        const std::filesystem::path& source);

/// Bytes that one block of a decoder keeps for backward of so many tokens, from above: what a block whose every matrix has an
/// adapter keeps. fp32.
double kept_by_block(const model::DecoderOptions& options, int64_t tokens);

/// Which of `blocks` blocks are computed again in backward: "none", "all", a list such as "0,2,5-9", or "auto", which takes the
/// last ones as far as `free_bytes` are not enough for all blocks to keep `bytes_of_block` each. Throws Error(config) for what is
/// none of these or names a block that is not there.
std::vector<bool> recomputed_blocks(const std::string& recompute, int64_t blocks, double bytes_of_block, double free_bytes);

/// Bytes that this process may still take: what the system says is available, or what is left of its cgroup's limit where that
/// is less. Linux; 0 when neither is known.
double available_memory();

}  // namespace microemo::train
