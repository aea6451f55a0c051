#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include "microemo/model/options.h"
#include "microemo/nn/attention.h"

// Shapes: n frames, P patches, Q query tokens, C width, L text tokens, B clips, S memory tokens, W windows.

namespace microemo::model {

/// Q-Former of one frame: learned queries and the words "This frame is sampled at t second." attend to each other, the queries
/// look at the frame's patches (InstructBLIP's conditioning, as in TimeChat; Ren et al. 2024, section 3.1). The words' places are
/// dropped from the output.
class ImageQFormer : public torch::nn::Module {
 public:
  ImageQFormer(const ImageQFormerOptions& options, int64_t width, int64_t vocabulary);
  /// patches [n, P, C]; text [n, L] int64 ids, -1 is padding -> [n, Q, C].
  at::Tensor forward(const at::Tensor& patches_nPC, const at::Tensor& text_nL) const;

 private:
  ImageQFormerOptions options_;
  at::Tensor queries_;
  std::shared_ptr<nn::Embedding> tokens_;
  std::vector<std::shared_ptr<nn::QFormerLayer>> layers_;
  std::shared_ptr<nn::LayerNorm> norm_;
};

/// Q-Former over stretches of time: the same layers read the whole clip (window 0) and every utterance, each with its own learned
/// queries; the paper's utterance-aware video Q-Former, and the audio Q-Former. A memory token belongs to a window when start <=
/// time < end; a window without one takes the token nearest to its middle; a clip without any reads a learned "nothing" token.
class WindowQFormer : public torch::nn::Module {
 public:
  struct Shape {
    Windows windows = Windows::utterance;
    int64_t queries = 4, layers = 2, heads = 4, width = 64;
  };
  explicit WindowQFormer(const Shape& shape);
  /// memory [B, S, C], its times [B, S] in seconds and mask (false is padding), windows [B, W, 2] in seconds and their mask ->
  /// [B, W, Q, C]; W is 1 with Windows::none. What stands at padding windows is meaningless.
  at::Tensor forward(const at::Tensor& memory_BSC, const at::Tensor& times_BS, const at::Tensor& mask_BS,
                     const at::Tensor& windows_BW2, const at::Tensor& window_mask_BW) const;

 private:
  Shape shape_;
  at::Tensor queries_whole_, queries_utterance_, nothing_;
  std::vector<std::shared_ptr<nn::QFormerLayer>> layers_;
  std::shared_ptr<nn::LayerNorm> norm_;
};

/// Which memory tokens each window sees, [B, W, S] bool, by the rule above.
at::Tensor tokens_of_windows(const at::Tensor& times_BS, const at::Tensor& mask_BS, const at::Tensor& windows_BW2);

/// The mean of the memory tokens that each window sees, [B, W, C].
at::Tensor mean_of_windows(const at::Tensor& memory_BSC, const at::Tensor& times_BS, const at::Tensor& mask_BS,
                           const at::Tensor& windows_BW2);

}  // namespace microemo::model
