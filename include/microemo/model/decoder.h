#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include "microemo/model/key_value_cache.h"
#include "microemo/model/options.h"
#include "microemo/nn/linear.h"
#include "microemo/nn/rotary.h"

// Shapes: R rows, L tokens, N tokens of all rows without padding, n some of these, C width, H query heads, G key/value heads, E
// head width.

namespace microemo::model {

/// Rows of different lengths one behind the other, without padding: N tokens in all.
struct PackedRows {
  std::vector<int64_t> lengths;  ///< tokens of each row; none is 0
  int64_t tokens() const;
};

class DecoderBlock;

/// LLaMA-style decoder (Touvron et al. 2023): RMSNorm, rotary positions, grouped-query attention, SwiGLU, output rows shared with
/// the token table unless the options say otherwise. Rows are padded on the right and attention is causal, so no mask is needed
/// and padding changes nothing before it.
class Decoder : public torch::nn::Module {
 public:
  Decoder(const DecoderOptions& options, int64_t vocabulary);

  /// ids [R, L] int64 -> [R, L, C].
  at::Tensor embed(const at::Tensor& ids_RL) const;
  /// Adds the learned vector of each token's utterance number; 0 adds nothing.
  at::Tensor add_utterances(const at::Tensor& tokens_RLC, const at::Tensor& utterance_RL) const;
  /// Hidden states after the last norm, [R, L, C]. With a cache, the tokens follow those already in it, any number of them, and
  /// are added to it; then all rows must have the same number of real tokens. `states` gets what enters each block, in their
  /// order, each [R, L, C]. `keys` of the rows are for the adapters' dropout. Throws Error(internal) beyond max_tokens.
  at::Tensor forward(const at::Tensor& tokens_RLC, KeyValueCache* cache = nullptr, std::vector<at::Tensor>* states = nullptr,
                     const nn::DropoutKeys& keys = {}) const;
  /// Hidden states after the last norm of the tokens numbered kept_n alone, [n, C]: those that something is learned from. The
  /// last block computes the others no further than their keys and values. tokens_NC are the rows of `rows`, each of which starts
  /// at position 0 and sees nothing of the others. `keys` as above, one for each row. Throws Error(internal) when the tokens are
  /// not those of the rows, or a row has none or is longer than max_tokens.
  at::Tensor forward_packed(const at::Tensor& tokens_NC, const PackedRows& rows, const at::Tensor& kept_n,
                            const nn::DropoutKeys& keys = {}) const;
  /// One more token of several texts of any lengths: token r of tokens_RC follows what caches[r] holds and is added to it. Hidden
  /// states after the last norm, [R, C]; tokens behind those of the caches only fill up the number of rows, and what they give
  /// means nothing. Without gradients. Throws Error(internal) beyond max_tokens.
  at::Tensor forward_next(const at::Tensor& tokens_RC, const std::vector<KeyValueCache*>& caches) const;
  /// Which blocks forward_packed computes again in backward instead of keeping what they made (nn::recomputed).
  void recompute_blocks(std::vector<bool> chosen) { recomputed_ = std::move(chosen); }
  /// The type that blocks and the last norm compute in, fp32 or bf16; parameters of another one are rounded where they are used,
  /// and get their gradients in their own. Unless it is set, that of the tokens.
  void compute_in(at::ScalarType type) { compute_type_ = type; }
  int64_t layers() const { return int64_t(blocks_.size()); }
  /// Called before a block is computed with, in forward and in backward, where frozen weights are brought from elsewhere; `next`
  /// is the block that follows, -1 when none does for now.
  using NeedBlock = std::function<void(int64_t block, int64_t next)>;
  void weights_from(NeedBlock need) { need_ = std::move(need); }
  /// hidden [..., C] -> logits [..., V].
  at::Tensor logits(const at::Tensor& hidden) const;
  int64_t embedding_rows() const { return tokens_->weight().size(0); }
  const at::Tensor& output_weight() const { return output_ ? output_->weight() : tokens_->weight(); }
  const DecoderOptions& options() const { return options_; }

  /// "adapters of rank 8 on query of every block, value of blocks 0 1"; empty without any.
  std::string adapters_text() const;
  /// Attaches adapters to the targets. Throws Error(config) on a target or pattern that names no projection, with the valid ones.
  void attach_lora(const LoraOptions& options);

 private:
  template <class Compute>
  at::Tensor computed(size_t block, int64_t next, Compute&& compute) const;
  int64_t after(size_t block, bool in_backward, bool trains) const;
  nn::RotaryTable rotary_of(const PackedRows& rows, const at::Tensor& like) const;
  nn::RotaryTable rotary_at(const at::Tensor& position_N, const at::Tensor& like) const;
  at::Tensor in_compute_type(const at::Tensor& tokens) const { return compute_type_ ? tokens.to(*compute_type_) : tokens; }

  DecoderOptions options_;
  std::optional<at::ScalarType> compute_type_;
  nn::RotaryTable rotary_;
  std::shared_ptr<nn::Embedding> tokens_, utterances_, output_;
  std::vector<std::shared_ptr<DecoderBlock>> blocks_;
  std::vector<bool> recomputed_;
  std::shared_ptr<nn::RmsNorm> norm_;
  NeedBlock need_;
};

}  // namespace microemo::model
