#pragma once
#include <cstdint>
#include <memory>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include "microemo/model/clip_batch.h"
#include "microemo/model/options.h"
#include "microemo/model/windows.h"
#include "microemo/nn/replay.h"

namespace microemo::model {

class AudioEncoder;
class ImageBindAudio;
class Hubert;
class WhisperEncoder;

/// The encoder of a style, module "audio_encoder" of its owner, and what its states become: tokens on the clip's clock.
class SoundEncoder {
 public:
  SoundEncoder() = default;
  SoundEncoder(torch::nn::Module& owner, const AudioBranchOptions& options, const InputShapes& shapes);
  /// [B, S, 1, sound_token_width]. Our own reads ClipBatch::mel_BFM, the public ones ClipBatch::pieces_BK, of which padding is
  /// not computed, or what they gave for them earlier. A clip without sound has a masked token.
  TimedTokens forward(const ClipBatch& clips, const nn::DropoutKeys& keys = {}) const;
  /// What a public encoder gives for each of n pieces without dropout, [n, S, sound_token_width]: ClipBatch::encoded_pieces_BKSC.
  at::Tensor encode(const at::Tensor& pieces_n) const;
  /// On a GPU, so many pieces as come again go through a recorded graph (nn::Replay), as long as nothing of a public encoder is
  /// trained. Our own computes what its masks are for and is not recorded.
  void replay_shapes() { replay_ = std::make_shared<nn::Replay>(); }
  bool empty() const { return !plain_ && !imagebind_ && !hubert_ && !whisper_; }

 private:
  at::Tensor tokens_of_pieces(const at::Tensor& pieces_n, const nn::DropoutKeys& keys) const;
  /// Of all pieces of a batch, those of padding zeros.
  at::Tensor tokens_of(const ClipBatch& clips, const nn::DropoutKeys& keys) const;
  int64_t tokens_of_a_piece() const { return imagebind_ ? 1 : options_.piece_tokens; }
  int64_t width() const { return imagebind_ ? options_.projection : options_.width; }
  /// The public encoder.
  const torch::nn::Module& encoder() const;

  AudioBranchOptions options_;
  std::shared_ptr<nn::Replay> replay_;
  std::shared_ptr<AudioEncoder> plain_;
  std::shared_ptr<ImageBindAudio> imagebind_;
  std::shared_ptr<Hubert> hubert_;
  std::shared_ptr<WhisperEncoder> whisper_;
};

}  // namespace microemo::model
