// Shapes: B clips, K pieces of sound, n real pieces, S tokens of a piece, C width.
#include "microemo/model/sound_encoder.h"

#include <ATen/ops/adaptive_avg_pool1d.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/zeros.h>

#include "microemo/base/error.h"
#include "microemo/model/audio_encoder.h"
#include "microemo/model/hubert.h"
#include "microemo/model/imagebind_audio.h"
#include "microemo/model/whisper_encoder.h"
#include "microemo/nn/sent.h"

namespace microemo::model {
namespace {

/// States of a piece as so many tokens of equal length, [n, S, C].
at::Tensor averaged(const at::Tensor& states_nLC, int64_t tokens) {
  if (tokens == 1) return states_nLC.mean(1, true);
  return at::adaptive_avg_pool1d(states_nLC.transpose(1, 2), tokens).transpose(1, 2);
}

int64_t hidden_of(const AudioBranchOptions& o) { return o.hidden > 0 ? o.hidden : 4 * o.width; }

}  // namespace

SoundEncoder::SoundEncoder(torch::nn::Module& owner, const AudioBranchOptions& o, const InputShapes& shapes) : options_(o) {
  const char* name = "audio_encoder";
  switch (o.style) {
    case AudioStyle::plain:
      plain_ = owner.register_module(name, std::make_shared<AudioEncoder>(o, shapes.mel_bands));
      break;
    case AudioStyle::imagebind:
      imagebind_ =
          owner.register_module(name, std::make_shared<ImageBindAudio>(ImageBindAudioOptions{.width = o.width,
                                                                                             .layers = o.layers,
                                                                                             .heads = o.heads,
                                                                                             .out = o.projection,
                                                                                             .mel_bands = shapes.mel_bands,
                                                                                             .drop_path = o.drop_path}));
      break;
    case AudioStyle::hubert: {
      HubertOptions hubert;
      hubert.width = o.width, hubert.layers = o.layers, hubert.heads = o.heads, hubert.hidden = hidden_of(o);
      for (WaveConvolution& convolution : hubert.convolutions) convolution.channels = o.wave_channels;
      hubert_ = owner.register_module(name, std::make_shared<Hubert>(hubert));
      break;
    }
    case AudioStyle::whisper:
      whisper_ = owner.register_module(
          name,
          std::make_shared<WhisperEncoder>(WhisperEncoderOptions{
              .width = o.width, .layers = o.layers, .heads = o.heads, .hidden = hidden_of(o), .mel_bands = shapes.mel_bands}));
      break;
  }
}

at::Tensor SoundEncoder::tokens_of_pieces(const at::Tensor& pieces_n, const nn::DropoutKeys& keys) const {
  if (imagebind_) return imagebind_->forward(imagebind_spectrogram(pieces_n), keys).embedding_nD.unsqueeze(1);
  if (whisper_) return averaged(whisper_->forward(pieces_n).back(), options_.piece_tokens);
  const SampleNorm norm = options_.joint_normalisation ? SampleNorm::joint : SampleNorm::per_sound;
  return averaged(mean_of_last_states(hubert_->forward(normalised_samples(pieces_n, {}, norm))), options_.piece_tokens);
}

const torch::nn::Module& SoundEncoder::encoder() const {
  if (imagebind_) return *imagebind_;
  if (whisper_) return *whisper_;
  return *hubert_;
}

at::Tensor SoundEncoder::encode(const at::Tensor& pieces_n) const {
  MICROEMO_CHECK(!plain_, "our own encoder of sound reads no pieces");
  if (pieces_n.size(0) == 0) return at::zeros({0, tokens_of_a_piece(), width()}, pieces_n.options());
  return nn::replayed(replay_, encoder(), pieces_n, [&](const at::Tensor& pieces) { return tokens_of_pieces(pieces, {}); });
}

at::Tensor SoundEncoder::tokens_of(const ClipBatch& clips, const nn::DropoutKeys& keys) const {
  const int64_t batch = clips.piece_mask_BK.size(0), pieces = clips.piece_mask_BK.size(1);
  if (clips.encoded_pieces_BKSC.defined()) {
    MICROEMO_CHECK(clips.encoded_pieces_BKSC.dim() == 4 &&
                       clips.encoded_pieces_BKSC.sizes() == at::IntArrayRef({batch, pieces, tokens_of_a_piece(), width()}),
                   "pieces of sound that were encoded before do not fit those of the batch");
    return clips.encoded_pieces_BKSC.flatten(0, 1).to(at::kFloat);
  }
  const at::Tensor real_n = clips.piece_mask_BK.flatten().nonzero().squeeze(1);
  at::Tensor all_nSC = at::zeros({batch * pieces, tokens_of_a_piece(), width()}, clips.pieces_BK.options());
  if (real_n.size(0) == 0) return all_nSC;
  const at::Tensor there_n = nn::sent(real_n, clips.pieces_BK.device());
  const nn::DropoutKeys keys_n = keys.parts(pieces).rows_at(real_n);
  const auto work = [&](const at::Tensor& pieces_n) { return tokens_of_pieces(pieces_n, keys_n); };
  const at::Tensor pieces_n = clips.pieces_BK.flatten(0, 1).index_select(0, there_n);
  // What is dropped is another at every call.
  const bool same = options_.drop_path == 0 || keys_n.none();
  return all_nSC.index_copy(0, there_n, nn::replayed(same ? replay_ : nullptr, encoder(), pieces_n, work));
}

TimedTokens SoundEncoder::forward(const ClipBatch& clips, const nn::DropoutKeys& keys) const {
  if (plain_) {
    const AudioTokens sound = plain_->forward(clips.mel_BFM, clips.mel_times_BF, clips.mel_mask_BF);
    return {sound.tokens_BSC.unsqueeze(2), sound.times_BS, sound.mask_BS};
  }
  const int64_t batch = clips.piece_mask_BK.size(0), pieces = clips.piece_mask_BK.size(1);
  const at::Tensor all_nSC = tokens_of(clips, keys);
  const int64_t tokens = all_nSC.size(1), width = all_nSC.size(2);
  const at::Tensor offset_S =
      (at::arange(tokens, clips.piece_times_BK.options()) + 0.5) * (clips.piece_s / double(tokens)) - clips.piece_s / 2;
  return {all_nSC.view({batch, pieces * tokens, 1, width}), (clips.piece_times_BK.unsqueeze(2) + offset_S).flatten(1),
          clips.piece_mask_BK.repeat_interleave(tokens, 1)};
}

}  // namespace microemo::model
