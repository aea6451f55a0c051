#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include "microemo/checkpoint/hf_config.h"
#include "microemo/nn/attention.h"

// The public Q-Formers: BLIP-2's (Li et al. 2023, section 3.1), InstructBLIP's, which reads text, and the video Q-Former of
// Video-LLaMA and TimeChat. All are BERT layers: norms behind, exact GELU, an MLP of the queries' own.
// Shapes: n pictures, S memory tokens, M their width, Q queries, L text tokens, C width, B clips, T frames, P tokens of a frame,
// W windows.

namespace microemo::model {

/// The defaults are BLIP-2's sizes.
struct BertLayersOptions {
  int64_t layers = 12, heads = 12, width = 768, hidden = 3072, memory_width = 1408;
  int64_t look_every = 2;  ///< layers 0, look_every, 2 look_every, … attend to the memory
  bool text_mlp = false;   ///< tokens behind the queries have MLPs of their own
  double norm_epsilon = 1e-12;
};

/// The layers of a Q-Former and the norm before them: modules "input_norm" and "layer0" … of their owner.
class BertLayers {
 public:
  BertLayers(torch::nn::Module& owner, const BertLayersOptions& options);
  /// tokens [n, L, C], of which the first `queries` attend to memory [n, S, M]; self_mask additive for [L, L], or undefined.
  /// Returns [n, L, C], with `queries_only` [n, queries, C]. `states` gets what enters each layer, and what leaves the last.
  at::Tensor forward(const at::Tensor& tokens_nLC, int64_t queries, const at::Tensor& memory_nSM, const at::Tensor& self_mask,
                     bool queries_only, std::vector<at::Tensor>* states) const;

 private:
  std::shared_ptr<nn::LayerNorm> input_norm_;
  std::vector<std::shared_ptr<nn::QFormerLayer>> layers_;
};

struct BertQFormerOptions {
  BertLayersOptions layers;
  int64_t queries = 32;
  int64_t vocabulary = 0;  ///< rows of the token table; 0: it reads no text
  int64_t max_text = 512;  ///< longest text
  bool keep_text = false;  ///< the text's places stay behind the queries in the output, as in TimeChat; else they are dropped
};

/// Q-Former of one picture. Text tokens get positions from 0, queries none. Parameters "queries" [Q, C], "tokens.weight",
/// "position_text" [max_text, C].
class BertQFormer : public torch::nn::Module {
 public:
  explicit BertQFormer(const BertQFormerOptions& options);
  /// memory [n, S, M]; text [n, L] int64 ids or undefined, -1 is padding, which nothing attends to -> [n, Q, C], with keep_text
  /// [n, Q + L, C], where padding stands as token 0 would. Throws Error(internal) for memory of another width or number of rows,
  /// text without a token table, longer than max_text or with ids beyond the table.
  at::Tensor forward(const at::Tensor& memory_nSM, const at::Tensor& text_nL = {},
                     std::vector<at::Tensor>* states = nullptr) const;
  const BertQFormerOptions& options() const { return options_; }

 private:
  void check(const at::Tensor& memory_nSM, const at::Tensor& text_nL) const;
  at::Tensor embed(const at::Tensor& text_nL) const;

  BertQFormerOptions options_;
  at::Tensor queries_, position_text_;
  std::shared_ptr<nn::Embedding> tokens_;
  BertLayers layers_;
};

struct VideoQFormerOptions {
  BertLayersOptions layers = {.layers = 2, .memory_width = 768, .look_every = 1};
  int64_t queries = 32;
  int64_t positions = 96;            ///< longest clip, in frames
  int64_t window = 32, stride = 32;  ///< frames; window 0: the whole clip in one
};

/// Video Q-Former of TimeChat (Ren et al. 2024, section 3.2): frames get a learned position by their number in the clip, and the
/// queries look at one window of frames after the other; window i starts at frame i * stride, the last may be short. One window
/// over all is Video-LLaMA's, and on ImageBind's clips its audio Q-Former. Parameters "queries_whole" [Q, C] and "position"
/// [positions, M].
class VideoQFormer : public torch::nn::Module {
 public:
  /// Throws Error(config) for a stride below 1 beside a window.
  explicit VideoQFormer(const VideoQFormerOptions& options);
  /// frames [B, T, P, M] -> [B, W Q, C], W = ceil(T / stride). Throws Error(internal) for frames of another width, none, or more
  /// than there are positions.
  at::Tensor forward(const at::Tensor& frames_BTPM) const;

 private:
  at::Tensor read(const at::Tensor& frames_BTPM) const;

  VideoQFormerOptions options_;
  at::Tensor queries_, position_;
  BertLayers layers_;
};

/// A table of positions stretched to `count` rows by the nearest, as TimeChat loads Video-LLaMA's 32 rows as 96: row j is row
/// floor(j rows / count).
at::Tensor nearest_positions(const at::Tensor& position_FM, int64_t count);

}  // namespace microemo::model
