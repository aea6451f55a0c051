#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include "microemo/model/qformer.h"
#include "microemo/model/windows.h"

// Shapes: B clips, T moments (frames, or pieces of sound), P tokens of each, M their width, W windows, Q queries, C width.

namespace microemo::model {

struct WindowQFormerOptions {
  QFormerLayers layers;
  int64_t queries = 4;
  int64_t positions = 0;          ///< learned positions by a moment's number; 0: sine and cosine features of its time
  bool utterance_queries = true;  ///< windows behind the first have queries of their own
  bool whole_layers = false;      ///< the first window has layers of its own, modules "whole_layer0" …
  bool nothing_token = true;      ///< a clip without any moment reads a learned token; else it is refused
};

/// Q-Former over stretches of time: learned queries look at the tokens of one window after another; window 0 is read with
/// "queries_whole" [Q, C], the others with "queries_utterance" where there are any. The paper's utterance-aware video Q-Former,
/// the audio Q-Former, the sliding one of TimeChat and the single one of Video-LLaMA. A moment belongs to a window when start <=
/// time < end; a window without one takes the moment nearest to its middle.
class WindowQFormer : public torch::nn::Module {
 public:
  explicit WindowQFormer(const WindowQFormerOptions& options);
  /// The memory with its positions: they are those of the clip, not of a window. Throws Error(data) for more moments than there
  /// are positions, Error(internal) for another width.
  TimedTokens placed(const TimedTokens& memory) const;
  /// placed memory, windows -> [B, W, Q, C]; zeros at padding windows. `ids` of the clips are for errors; `keys`
  /// of the clips for dropout. Throws Error(data) for
  /// a clip without any moment when there is no token for it.
  at::Tensor forward(const TimedTokens& placed, const WindowSpans& windows, const std::vector<std::string>& ids = {},
                     const nn::DropoutKeys& keys = {}) const;
  const WindowQFormerOptions& options() const { return options_; }
  /// As QFormerStack has it; the whole clip's own layers, if any, are those of the same numbers.
  void recompute_layers(const std::vector<bool>& chosen) {
    layers_.recompute_layers(chosen);
    whole_layers_.recompute_layers(chosen);
  }

 private:
  TimedTokens with_nothing(const TimedTokens& memory, const std::vector<std::string>& ids) const;
  at::Tensor read(const QFormerStack& layers, const at::Tensor& queries_rQC, const TimedTokens& memory, const at::Tensor& clip_r,
                  const at::Tensor& visible_rT, const nn::DropoutKeys& keys) const;

  WindowQFormerOptions options_;
  at::Tensor queries_whole_, queries_utterance_, nothing_, position_;
  QFormerStack layers_, whole_layers_;
};

/// A table of positions stretched to `count` rows by the nearest, as TimeChat loads Video-LLaMA's 32 rows as 96: row j is row
/// floor(j rows / count).
at::Tensor nearest_positions(const at::Tensor& position_FM, int64_t count);

}  // namespace microemo::model
