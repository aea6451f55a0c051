#include "microemo/model/imagebind_audio.h"

#include <cmath>

#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>

#include "load_encoder.h"
#include "microemo/base/error.h"

namespace microemo::model {
namespace {

constexpr double patch_norm_epsilon = 1e-5, norm_epsilon = 1e-6;
constexpr double largest_scale = 100, first_scale = 20, least_length = 1e-12;
constexpr double mel_mean = -4.268, mel_deviation = 9.138;

}  // namespace

ImageBindAudio::ImageBindAudio(const ImageBindAudioOptions& o) : options_(o) {
  if (o.patch > o.mel_bands || o.patch > o.frames)
    throw ConfigError("patches of {0} x {0} do not fit a spectrogram of {1} mel bands and {2} frames", o.patch, o.mel_bands,
                      o.frames)
        .hint("choose smaller patches");
  patch_embedding_ = register_module("patch_embedding", std::make_shared<nn::Linear>(o.patch * o.patch, o.width, /*bias=*/false));
  patch_norm_ = register_module("patch_norm", std::make_shared<nn::LayerNorm>(o.width, patch_norm_epsilon));
  embedding_class_ = register_parameter("embedding_class", at::empty({o.width}));
  position_ = register_parameter("position", at::empty({1 + o.rows() * o.columns(), o.width}));
  nn::BlockOptions block{.attention = {.width = o.width, .heads = o.heads, .extra_key_value = true},
                         .norm_epsilon = norm_epsilon};
  for (int64_t i = 0; i < o.layers; ++i) {
    block.drop_path = o.layers > 1 ? o.drop_path * double(i) / double(o.layers - 1) : 0;
    blocks_.push_back(register_module("block" + std::to_string(i), std::make_shared<nn::TransformerBlock>(block)));
  }
  norm_ = register_module("norm", std::make_shared<nn::LayerNorm>(o.width, norm_epsilon));
  projection_ = register_module("projection", std::make_shared<nn::Linear>(o.width, o.out, /*bias=*/false));
  log_scale_ = register_buffer("log_scale", at::full({}, std::log(first_scale)));
}

/// Patches row by row, low bands first, behind the class token.
at::Tensor ImageBindAudio::embed(const at::Tensor& spectrogram_nMF) const {
  const at::Tensor patches_nPx = spectrogram_nMF.unfold(1, options_.patch, options_.stride)
                                     .unfold(2, options_.patch, options_.stride)  // [n, rows, columns, patch, patch]
                                     .flatten(1, 2)
                                     .flatten(2);
  const at::Tensor tokens_nPC = patch_norm_->forward(patch_embedding_->forward(patches_nPx));
  return at::cat({embedding_class_.expand({tokens_nPC.size(0), 1, -1}), tokens_nPC}, 1) + position_;
}

ImageBindSound ImageBindAudio::forward(const at::Tensor& spectrogram_nMF, const nn::DropoutKeys& keys) const {
  MICROEMO_CHECK(spectrogram_nMF.dim() == 3, "spectrograms have three dimensions, not {}", spectrogram_nMF.dim());
  if (spectrogram_nMF.size(1) != options_.mel_bands)
    throw ConfigError("a spectrogram of {} mel bands for an audio encoder of {}", spectrogram_nMF.size(1), options_.mel_bands)
        .hint("make it with as many bands as the encoder has");
  if (spectrogram_nMF.size(2) != options_.frames)
    throw DataError("a spectrogram of {} frames; the audio encoder wants {}", spectrogram_nMF.size(2), options_.frames)
        .hint("cut the sound into clips of 2 s, and fill them with imagebind_spectrogram");
  ImageBindSound sound;
  sound.states_nPC.push_back(embed(spectrogram_nMF));
  for (size_t i = 0; i < blocks_.size(); ++i)
    sound.states_nPC.push_back(blocks_[i]->forward(sound.states_nPC.back(), {}, keys.at(i)));
  sound.feature_nC = norm_->forward(sound.states_nPC.back().select(1, 0));
  const at::Tensor projected_nD = projection_->forward(sound.feature_nC);
  const at::Tensor length_n1 = projected_nD.norm(2, {1}, /*keepdim=*/true).clamp_min(least_length);
  sound.embedding_nD = projected_nD / length_n1 * log_scale_.exp().clamp_max(largest_scale);
  return sound;
}

at::Tensor imagebind_spectrogram(const at::Tensor& log_mel_nFM, int64_t frames) {
  const int64_t given = log_mel_nFM.size(1);
  if (given > frames)
    throw DataError("a clip of {} frames for an audio encoder of {}", given, frames).hint("cut the sound into clips of 2 s");
  return (at::constant_pad_nd(log_mel_nFM.transpose(1, 2), {0, frames - given}) - mel_mean) / mel_deviation;
}

std::shared_ptr<ImageBindAudio> load_imagebind_audio(const std::filesystem::path& path, const ImageBindAudioOptions& options) {
  const checkpoint::NamedTensors tensors = checkpoint::read_part(path, "audio_encoder", "imagebind-audio");
  return frozen_with(std::make_shared<ImageBindAudio>(options), tensors, path);
}

}  // namespace microemo::model
