#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "microemo/base/config.h"
#include "microemo/nn/rotary_scaling.h"

namespace microemo::model {

enum class Windows { utterance, none };
constexpr auto names_of(Windows) {
  return std::array{std::pair{Windows::utterance, "utterance"}, std::pair{Windows::none, "none"}};
}

struct VisualEncoderOptions {
  bool enabled = true;
  int64_t width = 64, patch = 16, layers = 1, heads = 4;
};
template <class Visitor>
void describe(Visitor& option, VisualEncoderOptions& o) {
  const std::string when = "model.visual.enabled is true";
  option("enabled", o.enabled,
         "Look at the picture; false leaves frames and faces out, and with audio off the words alone remain.");
  option("width", o.width, "Channels of a patch token.").min(8).max(8192).only_if(o.enabled, when);
  option("patch", o.patch, "Side of a square patch, in pixels of a whole frame.").min(4).max(1024).only_if(o.enabled, when);
  option("layers", o.layers, "Transformer blocks of the whole-frame ViT.").min(0).max(256).only_if(o.enabled, when);
  option("heads", o.heads, "Attention heads of each block.").min(1).max(256).only_if(o.enabled, when);
}

struct ImageQFormerOptions {
  int64_t queries = 2, layers = 1, heads = 4;
  bool timestamp_text = true;
};
template <class Visitor>
void describe(Visitor& option, ImageQFormerOptions& o) {
  option("queries", o.queries, "Query tokens of a frame.").min(1).max(1024);
  option("layers", o.layers, "Q-Former layers.").min(1).max(256);
  option("heads", o.heads, "Attention heads.").min(1).max(256);
  option("timestamp_text", o.timestamp_text, "Let the queries read \"This frame is sampled at t second.\" as TimeChat does.");
}

struct LocalBranchOptions {
  bool enabled = true;
  int64_t patch = 8, layers = 0, patch_features = 16, temporal_layers = 2, heads = 4;
  double temporal_reach_s = 0.25;
  double window_s = 0.24;
};
template <class Visitor>
void describe(Visitor& option, LocalBranchOptions& o) {
  const std::string when = "model.local.enabled is true";
  option("enabled", o.enabled, "Look at the face at its native frame rate; false leaves the whole frames alone.");
  option("patch", o.patch, "Side of a square patch of the face input.").min(2).max(448).only_if(o.enabled, when);
  option("layers", o.layers, "Transformer blocks of the face ViT; 0 keeps the patch embedding alone.")
      .min(0)
      .max(256)
      .only_if(o.enabled, when);
  option("patch_features", o.patch_features,
         "Numbers each patch contributes to the face token, side by side, so that it keeps where something moved.")
      .min(1)
      .max(8192)
      .only_if(o.enabled, when);
  option("temporal_layers", o.temporal_layers, "Blocks of the temporal encoder over face tokens.")
      .min(0)
      .max(256)
      .only_if(o.enabled, when);
  option("heads", o.heads, "Attention heads of the face ViT, the temporal encoder and the global-local attention.")
      .min(1)
      .max(256)
      .only_if(o.enabled, when);
  option("temporal_reach_s", o.temporal_reach_s, "How far a face token sees to either side in the temporal encoder, in seconds.")
      .above(0)
      .max(3600)
      .only_if(o.enabled, when)
      .only_if(o.temporal_layers > 0, "model.local.temporal_layers is above 0");
  option("window_s", o.window_s,
         "Length of the face window around each whole frame; at least 1 / prepare.frame_rate, so that windows tile the clip.")
      .above(0)
      .max(3600)
      .only_if(o.enabled, when);
}

struct VideoQFormerOptions {
  Windows windows = Windows::utterance;
  int64_t queries = 4, layers = 2, heads = 4;
};
template <class Visitor>
void describe(Visitor& option, VideoQFormerOptions& o) {
  option("windows", o.windows, "Tokens for the whole clip and every utterance, or for the whole clip alone.");
  option("queries", o.queries, "Query tokens of each window.").min(1).max(4096);
  option("layers", o.layers, "Q-Former layers.").min(1).max(256);
  option("heads", o.heads, "Attention heads.").min(1).max(256);
}

struct AudioBranchOptions {
  bool enabled = true;
  Windows windows = Windows::utterance;
  int64_t width = 64, patch_frames = 8, layers = 1, queries = 2, qformer_layers = 1, heads = 4;
  double clip_s = 2.0, mel_mean = -4.268, mel_deviation = 9.138;
};
template <class Visitor>
void describe(Visitor& option, AudioBranchOptions& o) {
  const std::string when = "model.audio.enabled is true";
  option("enabled", o.enabled, "Listen to the sound.");
  option("windows", o.windows, "Audio tokens for the whole clip and every utterance, or for the whole clip alone.")
      .only_if(o.enabled, when);
  option("width", o.width, "Channels of an audio token.").min(8).max(8192).only_if(o.enabled, when);
  option("patch_frames", o.patch_frames, "Log-mel frames (10 ms each) in one audio token.")
      .min(1)
      .max(1000)
      .only_if(o.enabled, when);
  option("layers", o.layers, "Transformer blocks of the audio encoder.").min(0).max(256).only_if(o.enabled, when);
  option("queries", o.queries, "Query tokens of each window.").min(1).max(4096).only_if(o.enabled, when);
  option("qformer_layers", o.qformer_layers, "Layers of the audio Q-Former.").min(1).max(256).only_if(o.enabled, when);
  option("heads", o.heads, "Attention heads.").min(1).max(256).only_if(o.enabled, when);
  option("clip_s", o.clip_s, "The encoder hears pieces of this length, in seconds; a multiple of patch_frames / 100.")
      .above(0)
      .max(3600)
      .only_if(o.enabled, when);
  option("mel_mean", o.mel_mean, "Subtracted from the log-mel values (ImageBind's constant).").only_if(o.enabled, when);
  option("mel_deviation", o.mel_deviation, "They are divided by this (ImageBind's constant).").above(0).only_if(o.enabled, when);
}

struct LoraOptions {
  int64_t rank = 0;
  double alpha = 16;
  std::vector<std::string> targets = {"query", "value"};
};
template <class Visitor>
void describe(Visitor& option, LoraOptions& o) {
  const std::string when = "model.decoder.lora.rank is above 0";
  option("rank", o.rank, "Rank of the adapters; 0 attaches none.").min(0).max(8192);
  option("alpha", o.alpha, "The adapters' output is scaled by alpha / rank.").above(0).only_if(o.rank > 0, when);
  option("targets", o.targets, "Which projections of a decoder block: query, key, value, output, gate, up, down.")
      .only_if(o.rank > 0, when);
}

struct DecoderOptions {
  int64_t vocabulary = 0;
  int64_t width = 128, layers = 4, heads = 4, key_value_heads = 2, hidden = 320, max_tokens = 512, utterances = 16;
  int64_t head_width = 0;
  double rope_theta = 10000;
  double norm_epsilon = 1e-5;
  bool utterance_embedding = true;
  bool tied_output = true, query_key_value_bias = false, output_bias = false;
  nn::RotaryScaling rope_scaling = {};
  LoraOptions lora;
};
template <class Visitor>
void describe(Visitor& option, DecoderOptions& o) {
  option("vocabulary", o.vocabulary, "Rows of the token table; 0 takes the tokenizer's size, and less than that is refused.")
      .min(0)
      .max(1 << 22);
  option("width", o.width, "Channels of a token.").min(16).max(1 << 16);
  option("layers", o.layers, "Decoder blocks.").min(1).max(1024);
  option("heads", o.heads, "Query heads.").min(1).max(1024);
  option("key_value_heads", o.key_value_heads, "Key and value heads (grouped-query attention); divides heads.").min(1).max(1024);
  option("head_width", o.head_width, "Width of a head; 0 takes width / heads.").min(0).max(8192);
  option("hidden", o.hidden, "Hidden channels of the SwiGLU.").min(16).max(1 << 18);
  option("max_tokens", o.max_tokens, "Longest row; a longer one is an error, never cut.").min(32).max(1 << 20);
  option("utterances", o.utterances, "Most utterances of one clip.").min(1).max(1 << 16);
  option("rope_theta", o.rope_theta, "Base of the rotary angles.").above(1);
  option("rope_scaling", o.rope_scaling, "Positions stretched beyond the rows of training.");
  option("norm_epsilon", o.norm_epsilon, "Epsilon of RMSNorm.").above(0);
  option("tied_output", o.tied_output, "Output rows are those of the token table; false gives them weights of their own.");
  option("query_key_value_bias", o.query_key_value_bias, "Queries, keys and values have biases (Qwen2).");
  option("output_bias", o.output_bias, "The output projection of attention has a bias.");
  option("utterance_embedding", o.utterance_embedding,
         "Add one learned vector per utterance number to its words, its media tokens and the question about it.");
  option("lora", o.lora, "Low-rank adapters of the decoder.");
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
  DecoderOptions decoder;
  AlignmentLossOptions alignment;
};
template <class Visitor>
void describe(Visitor& option, ModelOptions& o) {
  const bool picture = o.visual.enabled;
  const std::string when = "model.visual.enabled is true";
  option("visual", o.visual, "The ViT of whole frames.");
  option("image_qformer", o.image_qformer, "Tokens of a whole frame.").only_if(picture, when);
  option("local", o.local, "The face branch and its way into the frames' tokens.").only_if(picture, when);
  option("video_qformer", o.video_qformer, "Tokens of the clip and its utterances.").only_if(picture, when);
  option("audio", o.audio, "The sound branch.");
  option("decoder", o.decoder, "The LLaMA-style decoder.");
  option("alignment", o.alignment, "The losses; those beside the answer's belong to the alignment stage.");
}

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
