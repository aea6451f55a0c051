#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "microemo/base/config.h"
#include "microemo/model/audio_options.h"
#include "microemo/model/decoder_options.h"
#include "microemo/model/visual_options.h"

namespace microemo::model {

struct FusionOptions {
  bool enabled = false;
  int64_t width = 768;
};
template <class Visitor>
void describe(Visitor& option, FusionOptions& o) {
  option("enabled", o.enabled, "One more token, of picture and sound mixed by learned weights (AffectGPT 2025).");
  option("width", o.width, "Its channels.").min(8).max(8192).only_if(o.enabled, "model.fusion.enabled is true");
}

struct FeatureOptions {
  std::vector<std::string> names = {};
  std::vector<int64_t> widths = {};
  bool class_token = false;

  /// Tokens of a clip.
  int64_t tokens() const { return int64_t(names.size()) + int64_t(class_token); }
};
template <class Visitor>
void describe(Visitor& option, FeatureOptions& o) {
  option("names", o.names,
         "Vectors of whole clips that other programs have computed, one token each in this order: keys of \"features\" in the "
         "manifest, which name .npy files. Emotion-LLaMA reads FaceMAE, VideoMAE and HuBERT in this way.");
  option("widths", o.widths, "Their numbers of values, in the same order.").min(1).max(1 << 20);
  option("class_token", o.class_token, "The class token of the clip's only frame is one more token, behind them.");
}

struct AlignmentLossOptions {
  double answer = 1.0, movement = 0.0, window_movement = 0.0, window_voice = 0.0, none_weight = 0.3;
};
template <class Visitor>
void describe(Visitor& option, AlignmentLossOptions& o) {
  option("answer", o.answer, "Weight of the answer's loss; 0 leaves the decoder out of training: the encoders learn alone.")
      .min(0);
  option("movement", o.movement, "Weight of the frame-level movement loss on face tokens (synthetic ground truth only).").min(0);
  option("window_movement", o.window_movement, "Weight of the movement loss on the video tokens of each utterance.").min(0);
  option("window_voice", o.window_voice, "Weight of the manner-of-voice loss on the audio tokens of each utterance.").min(0);
  option("none_weight", o.none_weight, "Weight of frames without a movement in the frame-level loss.").min(0).max(1);
}

/// The whole model; see docs/model.md for the diagram. The shapes of its inputs come from `prepare`.
struct ModelOptions {
  VisualEncoderOptions visual;
  ImageQFormerOptions image_qformer;
  LocalBranchOptions local;
  VideoQFormerOptions video_qformer;
  AudioBranchOptions audio;
  FusionOptions fusion;
  FeatureOptions features;
  DecoderOptions decoder;
  AlignmentLossOptions alignment;
};
template <class Visitor>
void describe(Visitor& option, ModelOptions& o) {
  const bool picture = o.visual.enabled;
  const std::string when = "model.visual.enabled is true";
  option("visual", o.visual, "The ViT of whole frames.");
  option("image_qformer", o.image_qformer, "Tokens of a whole frame.")
      .only_if(picture, when)
      .only_if(o.visual.style != VisualStyle::clip, "model.visual.style is plain or eva")
      .only_if(o.video_qformer.pooling != VideoPooling::patches, "model.video_qformer.pooling is qformer or attention");
  option("local", o.local, "The face branch and its way into the frames' tokens.").only_if(picture, when);
  option("video_qformer", o.video_qformer, "Tokens of the clip and its utterances.").only_if(picture, when);
  option("audio", o.audio, "The sound branch.");
  option("fusion", o.fusion, "Picture and sound in one token.")
      .only_if(picture && o.audio.enabled, "model.visual.enabled and model.audio.enabled are true");
  option("features", o.features, "Vectors that were computed elsewhere.");
  option("decoder", o.decoder, "The LLaMA-style decoder.");
  option("alignment", o.alignment, "The losses; those beside the answer's belong to the alignment stage.");
}

/// A Q-Former reads the patches of every frame.
bool has_image_qformer(const ModelOptions& options);
/// Channels of a frame's tokens, of a window's, of the encoder's tokens of sound and of a window's.
int64_t frame_token_width(const ModelOptions& options);
int64_t video_token_width(const ModelOptions& options);
int64_t sound_token_width(const ModelOptions& options);
int64_t audio_token_width(const ModelOptions& options);

/// Whether anything but words reaches the model.
inline bool looks_or_listens(const ModelOptions& options) { return options.visual.enabled || options.audio.enabled; }

/// What the data fixes: taken from PrepareOptions, the tokenizer and the label tables.
struct InputShapes {
  int64_t frame_width = 112, frame_height = 64;
  int64_t face_channels = 2, face_side = 32;  ///< of the prepared face tensor: flow has 2 channels of half the crop's side
  double face_scale = 3.0 / 127;              ///< raw face value * scale + shift is what the encoder reads
  double face_shift = 0;
  int64_t mel_bands = 40;
  int64_t vocabulary = 0;
  int64_t movement_classes = 7, voice_classes = 2;
};

}  // namespace microemo::model
