#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <utility>

#include "microemo/base/config.h"
#include "microemo/model/visual_options.h"
#include "microemo/model/window_options.h"

namespace microemo::model {

enum class AudioStyle {
  plain,      ///< our own transformer over log-mel patches
  imagebind,  ///< one token for each piece of 2 s
  hubert,     ///< the mean of its last four states over a piece
  whisper,    ///< its last states
};
constexpr auto names_of(AudioStyle) {
  return std::array{std::pair{AudioStyle::plain, "plain"}, std::pair{AudioStyle::imagebind, "imagebind"},
                    std::pair{AudioStyle::hubert, "hubert"}, std::pair{AudioStyle::whisper, "whisper"}};
}

struct AudioBranchOptions {
  bool enabled = true;
  AudioStyle style = AudioStyle::plain;
  WindowOptions window = {};
  int64_t width = 64, patch_frames = 8, layers = 1, heads = 4, hidden = 0;
  double clip_s = 2.0, mel_mean = -4.268, mel_deviation = 9.138;
  int64_t projection = 1024, piece_tokens = 1, wave_channels = 512;
  bool joint_normalisation = false;
  Pooling pooling = Pooling::qformer;
  QFormerStyle qformer_style = QFormerStyle::plain;
  int64_t queries = 2, qformer_layers = 1, qformer_heads = 0, qformer_width = 0, qformer_hidden = 0, positions = 0;
  bool nothing_token = true;
  double qformer_dropout = 0, drop_path = 0;
};

namespace audio_keys {

template <class Visitor>
void describe_encoder(Visitor& option, AudioBranchOptions& o, const std::string& when) {
  const bool plain = o.style == AudioStyle::plain, hubert = o.style == AudioStyle::hubert;
  const std::string is_plain = "model.audio.style is plain";
  option("width", o.width, "Channels of the encoder.").min(8).max(8192).only_if(o.enabled, when);
  option("layers", o.layers, "Transformer blocks of the audio encoder.").min(0).max(256).only_if(o.enabled, when);
  option("heads", o.heads, "Attention heads.").min(1).max(256).only_if(o.enabled, when);
  option("hidden", o.hidden, "Hidden channels of each block's MLP; 0 takes 4 width.")
      .min(0)
      .max(1 << 16)
      .only_if(o.enabled, when)
      .only_if(hubert || o.style == AudioStyle::whisper, "model.audio.style is hubert or whisper");
  option("patch_frames", o.patch_frames, "Log-mel frames (10 ms each) in one audio token.")
      .min(1)
      .max(1000)
      .only_if(o.enabled, when)
      .only_if(plain, is_plain);
  option("clip_s", o.clip_s, "The encoder hears pieces of this length, in seconds; a multiple of patch_frames / 100.")
      .above(0)
      .max(3600)
      .only_if(o.enabled, when)
      .only_if(plain, is_plain);
  option("mel_mean", o.mel_mean, "Subtracted from the log-mel values (ImageBind's constant).")
      .only_if(o.enabled, when)
      .only_if(plain, is_plain);
  option("mel_deviation", o.mel_deviation, "They are divided by this (ImageBind's constant).")
      .above(0)
      .only_if(o.enabled, when)
      .only_if(plain, is_plain);
  option("projection", o.projection, "Channels of ImageBind's common space, which a piece's token has.")
      .min(8)
      .max(8192)
      .only_if(o.enabled, when)
      .only_if(o.style == AudioStyle::imagebind, "model.audio.style is imagebind");
  option("piece_tokens", o.piece_tokens, "The encoder's states of a piece are averaged into so many tokens.")
      .min(1)
      .max(1500)
      .only_if(o.enabled, when)
      .only_if(hubert || o.style == AudioStyle::whisper, "model.audio.style is hubert or whisper");
  option("wave_channels", o.wave_channels, "Channels of HuBERT's convolutions over the waveform.")
      .min(1)
      .max(8192)
      .only_if(o.enabled, when)
      .only_if(hubert, "model.audio.style is hubert");
  option("joint_normalisation", o.joint_normalisation,
         "All pieces of a batch are normalised together, as AffectGPT 2025 does, so that a clip's values depend on the others.")
      .only_if(o.enabled, when)
      .only_if(hubert, "model.audio.style is hubert");
  option("drop_path", o.drop_path,
         "Probability that a piece skips the last block of ImageBind while training, rising linearly from 0 in the first; the "
         "public code has 0.1, though it "
         "means to freeze it.")
      .min(0)
      .below(1)
      .only_if(o.enabled, when)
      .only_if(o.style == AudioStyle::imagebind, "model.audio.style is imagebind");
}

template <class Visitor>
void describe_qformer(Visitor& option, AudioBranchOptions& o) {
  const bool reads = o.enabled && o.pooling == Pooling::qformer;
  const std::string when = "model.audio.enabled is true and model.audio.pooling is qformer";
  option("pooling", o.pooling, "qformer: query tokens for every window; attention: one token for the clip (AffectGPT 2025).")
      .only_if(o.enabled, "model.audio.enabled is true");
  option("qformer_style", o.qformer_style, "plain: norms before; bert: norms behind, as in Video-LLaMA.").only_if(reads, when);
  describe_windows(option, o.window, "model.audio", "pieces", reads, when);
  option("queries", o.queries, "Query tokens of each window.").min(1).max(4096).only_if(reads, when);
  option("qformer_layers", o.qformer_layers, "Layers of the audio Q-Former.").min(1).max(256).only_if(reads, when);
  option("qformer_heads", o.qformer_heads, "Its attention heads; 0 takes those of the encoder.")
      .min(0)
      .max(256)
      .only_if(reads, when);
  option("qformer_width", o.qformer_width, "Channels of its query tokens; 0 takes those of the encoder's tokens.")
      .min(0)
      .max(8192)
      .only_if(reads, when);
  option("qformer_hidden", o.qformer_hidden, "Hidden channels of its MLPs; 0 takes 4 width.")
      .min(0)
      .max(1 << 16)
      .only_if(reads, when);
  option("positions", o.positions, "Learned positions by a token's number; 0: sine and cosine features of its time.")
      .min(0)
      .max(1 << 20)
      .only_if(reads, when);
  option("nothing_token", o.nothing_token, "A clip without sound reads a learned token; false refuses such clips.")
      .only_if(reads, when);
  option("qformer_dropout", o.qformer_dropout, qformer_dropout_text).min(0).below(1).only_if(reads, when);
}

}  // namespace audio_keys

template <class Visitor>
void describe(Visitor& option, AudioBranchOptions& o) {
  const std::string when = "model.audio.enabled is true";
  option("enabled", o.enabled, "Listen to the sound.");
  option("style", o.style,
         "plain: our own, over log-mel patches; imagebind, hubert, whisper: the public encoders, on the pieces of sound that "
         "prepare.sound made for them.")
      .only_if(o.enabled, when);
  audio_keys::describe_encoder(option, o, when);
  audio_keys::describe_qformer(option, o);
}

}  // namespace microemo::model
