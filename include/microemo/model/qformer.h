#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include "microemo/model/visual_options.h"
#include "microemo/nn/attention.h"

// Shapes: n pictures, S memory tokens, M their width, Q queries, L text tokens, C width.

namespace microemo::model {

/// The defaults are our own; bert_layers() gives those of the public Q-Formers.
struct QFormerLayers {
  int64_t layers = 1, heads = 4, width = 64;
  int64_t hidden = 0;        ///< 0: 4 width
  int64_t memory_width = 0;  ///< 0: width
  int64_t look_every = 1;    ///< layers 0, look_every, 2 look_every, … attend to the memory
  bool text_mlp = false;     ///< tokens behind the queries have MLPs of their own
  nn::NormPlace norms = nn::NormPlace::before;
  double norm_epsilon = 1e-6;
  double dropout = 0;  ///< as in BERT: of the input, of attention probabilities and of what is added; wants keys

  int64_t width_of_memory() const { return memory_width > 0 ? memory_width : width; }
};

/// BERT's layers as BLIP-2 uses them (Li et al. 2023, section 3.1): norms behind, epsilon 1e-12, exact GELU. The sizes are those
/// of its image Q-Former.
QFormerLayers bert_layers();
/// The layers of a style; sizes are left to the caller.
QFormerLayers layers_of_style(QFormerStyle style);

/// The layers of a Q-Former and their norm: modules PREFIX"layer0" … of their owner, and PREFIX"norm" behind them, or, with norms
/// behind attention and MLP, PREFIX"input_norm" before them.
class QFormerStack {
 public:
  QFormerStack() = default;
  QFormerStack(torch::nn::Module& owner, const QFormerLayers& options, const std::string& prefix = {});
  /// tokens [n, L, C], of which the first `queries` attend to memory [n, S, M]; masks additive, for [L, L] and [queries, S], or
  /// undefined. Returns [n, L, C], with `queries_only` [n, queries, C]. `states` gets what enters each layer, and what leaves the
  /// last.
  at::Tensor forward(const at::Tensor& tokens_nLC, int64_t queries, const at::Tensor& memory_nSM, const at::Tensor& self_mask,
                     const at::Tensor& memory_mask, bool queries_only, std::vector<at::Tensor>* states = nullptr,
                     const nn::DropoutKeys& keys = {}) const;
  bool empty() const { return layers_.empty(); }
  int64_t layers() const { return int64_t(layers_.size()); }
  /// Which layers backward computes again instead of keeping what they made (nn::recomputed).
  void recompute_layers(std::vector<bool> chosen) { recomputed_ = std::move(chosen); }

 private:
  at::Tensor memory_of(size_t layer, const at::Tensor& memory_nSM) const;

  std::shared_ptr<nn::LayerNorm> input_norm_, norm_;
  double dropout_ = 0;
  int64_t look_every_ = 1;
  std::vector<std::shared_ptr<nn::QFormerLayer>> layers_;
  std::vector<bool> recomputed_;
};

struct QFormerOptions {
  QFormerLayers layers;
  int64_t queries = 32;
  int64_t vocabulary = 0;    ///< rows of the token table; 0: it reads no text
  bool text_layers = false;  ///< as in BERT: text has MLPs and positions of its own, and row 0 of the table learns nothing
  int64_t max_text = 512;    ///< longest text with text_layers
  bool keep_text = false;    ///< the text's places stay behind the queries in the output, as in TimeChat; else they are dropped
};

/// Q-Former of one picture: learned queries and, where it reads text, its tokens attend to each other, the queries look at the
/// picture (BLIP-2; with text InstructBLIP, and TimeChat, Ren et al. 2024, section 3.1). Parameters "queries" [Q, C],
/// "tokens.weight", "position_text" [max_text, C].
class QFormer : public torch::nn::Module {
 public:
  explicit QFormer(const QFormerOptions& options);
  /// memory [n, S, M]; text [n, L] int64 ids or undefined, -1 is padding, which nothing attends to -> [n, Q, C], with keep_text
  /// [n, Q + L, C], where padding stands as token 0 would. Throws Error(internal) for memory of another width or number of rows,
  /// text without a token table, longer than max_text or with ids beyond the table.
  at::Tensor forward(const at::Tensor& memory_nSM, const at::Tensor& text_nL = {}, std::vector<at::Tensor>* states = nullptr,
                     const nn::DropoutKeys& keys = {}) const;
  const QFormerOptions& options() const { return options_; }
  /// As QFormerStack has it.
  void recompute_layers(std::vector<bool> chosen) { layers_.recompute_layers(std::move(chosen)); }

 private:
  void check(const at::Tensor& memory_nSM, const at::Tensor& text_nL) const;
  at::Tensor embed(const at::Tensor& text_nL) const;

  QFormerOptions options_;
  at::Tensor queries_, position_text_;
  std::shared_ptr<nn::Embedding> tokens_;
  QFormerStack layers_;
};

}  // namespace microemo::model
