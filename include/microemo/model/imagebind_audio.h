#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include "microemo/nn/attention.h"

// Shapes: n clips of 2 s, M mel bands, F frames of 10 ms, P patches and before them the class token, C width, D common space.

namespace microemo::model {

/// The defaults are ImageBind-huge's audio side.
struct ImageBindAudioOptions {
  int64_t width = 768, layers = 12, heads = 12, out = 1024;
  int64_t mel_bands = 128, frames = 204;
  int64_t patch = 16, stride = 10;  ///< square patches that overlap
  double drop_path = 0;             ///< of the last block, rising linearly from 0 in the first; wants keys

  int64_t rows() const { return (mel_bands - patch) / stride + 1; }
  int64_t columns() const { return (frames - patch) / stride + 1; }
};

struct ImageBindSound {
  std::vector<at::Tensor> states_nPC;  ///< what comes into the blocks, then what every block gives; the class token is first
  at::Tensor feature_nC;               ///< the class token behind the last norm
  at::Tensor embedding_nD;             ///< in the space of all senses: a direction, times at most 100 (20 in the public file)
};

/// The audio side of ImageBind (Girdhar et al. 2023, section 3; facebookresearch/ImageBind). Its public form drops paths at
/// random whenever the model around it is in training mode, frozen or not; this one where it is given keys. Thread-safe while
/// nobody changes its parameters.
class ImageBindAudio : public torch::nn::Module {
 public:
  /// Throws Error(config) when heads do not divide the width, or a patch is larger than the spectrogram.
  explicit ImageBindAudio(const ImageBindAudioOptions& options = {});
  /// spectrogram_nMF [n, mel_bands, frames] (imagebind_spectrogram). Throws Error(config) for another number of bands,
  /// Error(data) for another number of frames.
  ImageBindSound forward(const at::Tensor& spectrogram_nMF, const nn::DropoutKeys& keys = {}) const;

 private:
  at::Tensor embed(const at::Tensor& spectrogram_nMF) const;

  ImageBindAudioOptions options_;
  std::shared_ptr<nn::Linear> patch_embedding_, projection_;
  std::shared_ptr<nn::LayerNorm> patch_norm_, norm_;
  at::Tensor embedding_class_, position_, log_scale_;
  std::vector<std::shared_ptr<nn::TransformerBlock>> blocks_;
};

/// Log-mel filter banks of clips (media::log_mel: 198 frames of 2 s), [n, F, M], as the encoder wants them, [n, M, frames]:
/// filled with zeros to `frames`, then (x + 4.268) / 9.138, so that padding is 0.467. Throws Error(data) for clips longer than
/// that.
at::Tensor imagebind_spectrogram(const at::Tensor& log_mel_nFM, int64_t frames = 204);

/// imagebind_huge.pth, or a file or folder of the same names or ours, in fp32; other senses in it are not read. No parameter
/// requires a gradient. Throws Error(checkpoint) as read_part does, and for names or shapes that are not those of the options,
/// naming them with both shapes.
std::shared_ptr<ImageBindAudio> load_imagebind_audio(const std::filesystem::path& path,
                                                     const ImageBindAudioOptions& options = {});

}  // namespace microemo::model
