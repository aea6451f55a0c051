#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include "microemo/checkpoint/hf_config.h"
#include "microemo/nn/attention.h"

// Shapes: B rows, L tokens, C width.

namespace microemo::model {

/// The defaults are bert-base-uncased's.
struct BertOptions {
  int64_t width = 768, layers = 12, heads = 12, hidden = 3072;
  int64_t vocabulary = 30522, max_tokens = 512, token_types = 2;
  double norm_epsilon = 1e-12;
};

/// BERT (Devlin et al. 2019) as transformers' BertModel computes it, without its pooler and without what it drops at random when
/// it is trained: words, positions and kinds of tokens are added and normed, then blocks with their norms behind attention and
/// MLP. Row 0 of the token table is padding and learns nothing. Thread-safe while nobody changes its parameters.
class Bert : public torch::nn::Module {
 public:
  /// Throws Error(config) when the heads do not divide the width.
  explicit Bert(const BertOptions& options);
  /// ids int64; mask bool, true for tokens that are seen, undefined: all; types int64, undefined: 0. What enters the blocks, then
  /// what every block gives, [B, L, C] each. Throws Error(internal) for ids of other than two dimensions, more tokens than
  /// positions, ids or types beyond their tables, and a mask or types of another shape.
  std::vector<at::Tensor> forward(const at::Tensor& ids_BL, const at::Tensor& mask_BL = {},
                                  const at::Tensor& types_BL = {}) const;
  const BertOptions& options() const { return options_; }

 private:
  void check(const at::Tensor& ids_BL, const at::Tensor& mask_BL, const at::Tensor& types_BL) const;

  BertOptions options_;
  std::shared_ptr<nn::Embedding> tokens_;
  at::Tensor position_, token_type_;
  std::shared_ptr<nn::LayerNorm> input_norm_;
  std::vector<std::shared_ptr<nn::TransformerBlock>> blocks_;
};

BertOptions bert_options(const checkpoint::HfBertConfig& config);

/// A BERT folder in the layout of Hugging Face, with or without the heads of its training, or one with our names beside its
/// config.json, in fp32. No parameter requires a gradient. Throws Error(checkpoint) as load_hubert does.
std::shared_ptr<Bert> load_bert(const std::filesystem::path& folder);

}  // namespace microemo::model
