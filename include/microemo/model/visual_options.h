#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <utility>

#include "microemo/base/config.h"
#include "microemo/model/window_options.h"

// Options of whole frames, faces and what reads them.

namespace microemo::model {

enum class VisualStyle {
  plain,  ///< our own ViT: no class token, pixels in [-1, 1]
  eva,    ///< EVA-CLIP's ViT-g with BLIP-2's norm behind it
  clip,   ///< CLIP's ViT: its class token, projected, is the frame's only token
};
constexpr auto names_of(VisualStyle) {
  return std::array{std::pair{VisualStyle::plain, "plain"}, std::pair{VisualStyle::eva, "eva"},
                    std::pair{VisualStyle::clip, "clip"}};
}

struct VisualEncoderOptions {
  bool enabled = true;
  VisualStyle style = VisualStyle::plain;
  int64_t width = 64, patch = 16, layers = 1, heads = 4, hidden = 0, projection = 768;
};
template <class Visitor>
void describe(Visitor& option, VisualEncoderOptions& o) {
  const std::string when = "model.visual.enabled is true";
  option("enabled", o.enabled,
         "Look at the picture; false leaves frames and faces out, and with audio off the words alone remain.");
  option("style", o.style,
         "plain: our own; eva: EVA-CLIP ViT-g as in BLIP-2 and TimeChat; clip: CLIP, whose projected class token is all that a "
         "frame gives (AffectGPT 2025).")
      .only_if(o.enabled, when);
  option("width", o.width, "Channels of a patch token.").min(8).max(8192).only_if(o.enabled, when);
  option("patch", o.patch, "Side of a square patch, in pixels of a whole frame.").min(4).max(1024).only_if(o.enabled, when);
  option("layers", o.layers, "Transformer blocks of the whole-frame ViT.").min(0).max(256).only_if(o.enabled, when);
  option("heads", o.heads, "Attention heads of each block.").min(1).max(256).only_if(o.enabled, when);
  option("hidden", o.hidden, "Hidden channels of each block's MLP; 0 takes 4 width.")
      .min(0)
      .max(1 << 16)
      .only_if(o.enabled, when);
  option("projection", o.projection, "Channels of a frame's token.")
      .min(8)
      .max(8192)
      .only_if(o.enabled, when)
      .only_if(o.style == VisualStyle::clip, "model.visual.style is clip");
}

inline constexpr const char* qformer_dropout_text =
    "Dropout while training, where BERT has it: of the input, of attention probabilities and of what each layer adds; the public "
    "Q-Formers have "
    "0.1.";

enum class QFormerStyle {
  plain,  ///< norms before attention and MLP, one norm at the end
  bert,   ///< norms behind them as in BERT, epsilon 1e-12: the public Q-Formers
};
constexpr auto names_of(QFormerStyle) {
  return std::array{std::pair{QFormerStyle::plain, "plain"}, std::pair{QFormerStyle::bert, "bert"}};
}

struct ImageQFormerOptions {
  QFormerStyle style = QFormerStyle::plain;
  int64_t queries = 2, layers = 1, heads = 4, width = 0, hidden = 0, look_every = 1;
  bool timestamp_text = true, keep_text = false;
  int64_t vocabulary = 0;
  double dropout = 0;
};
template <class Visitor>
void describe(Visitor& option, ImageQFormerOptions& o) {
  const std::string reads = "model.image_qformer.timestamp_text is true";
  option("style", o.style, "plain: norms before; bert: norms behind, as in BLIP-2, InstructBLIP and TimeChat.");
  option("queries", o.queries, "Query tokens of a frame.").min(1).max(1024);
  option("layers", o.layers, "Q-Former layers.").min(1).max(256);
  option("heads", o.heads, "Attention heads.").min(1).max(256);
  option("width", o.width, "Channels of a query token; 0 takes model.visual.width.").min(0).max(8192);
  option("hidden", o.hidden, "Hidden channels of each layer's MLP; 0 takes 4 width.").min(0).max(1 << 16);
  option("look_every", o.look_every, "Every how many layers, from the first on, the queries look at the frame.").min(1).max(256);
  option("timestamp_text", o.timestamp_text, "Let the queries read \"This frame is sampled at t second.\" as TimeChat does.");
  option("keep_text", o.keep_text,
         "The text's places, padding too, stay behind the queries: how TimeChat's public code feeds its video Q-Former.")
      .only_if(o.timestamp_text, reads);
  option("vocabulary", o.vocabulary, "Rows of the text's token table; 0 takes the decoder's.")
      .min(0)
      .max(1 << 22)
      .only_if(o.timestamp_text, reads);
  option("dropout", o.dropout, qformer_dropout_text).min(0).below(1);
}

enum class FaceEncoder { own, shared };
constexpr auto names_of(FaceEncoder) {
  return std::array{std::pair{FaceEncoder::own, "own"}, std::pair{FaceEncoder::shared, "shared"}};
}

enum class GlobalLocal {
  frames_ask,  ///< G' = G + W attn(G, L near t)
  faces_ask,   ///< L' = L + W attn(L, G near t); the mean of L' near a frame is one more token of it
};
constexpr auto names_of(GlobalLocal) {
  return std::array{std::pair{GlobalLocal::frames_ask, "frames_ask"}, std::pair{GlobalLocal::faces_ask, "faces_ask"}};
}

struct LocalBranchOptions {
  bool enabled = true;
  FaceEncoder encoder = FaceEncoder::own;
  int64_t patch = 8, layers = 0, patch_features = 16, temporal_layers = 2, heads = 4;
  double temporal_reach_s = 0.25;
  double window_s = 0.24;
  GlobalLocal attention = GlobalLocal::frames_ask;
  bool zero_start = true;
};
template <class Visitor>
void describe(Visitor& option, LocalBranchOptions& o) {
  const std::string when = "model.local.enabled is true", own = "model.local.encoder is own";
  const bool has_own = o.encoder == FaceEncoder::own;
  option("enabled", o.enabled, "Look at the face at its native frame rate; false leaves the whole frames alone.");
  option("encoder", o.encoder, "own: a ViT for faces alone; shared: that of the whole frames, on colour crops of their size.")
      .only_if(o.enabled, when);
  option("patch", o.patch, "Side of a square patch of the face input.")
      .min(2)
      .max(448)
      .only_if(o.enabled, when)
      .only_if(has_own, own);
  option("layers", o.layers, "Transformer blocks of the face ViT; 0 keeps the patch embedding alone.")
      .min(0)
      .max(256)
      .only_if(o.enabled, when)
      .only_if(has_own, own);
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
         "Length of the face window around each whole frame; at least 1 / prepare.frame_rate, so that windows tile the clip. 0: "
         "each "
         "face belongs to the whole frame that is nearest in time, whatever their distances.")
      .min(0)
      .max(3600)
      .only_if(o.enabled, when);
  option("attention", o.attention,
         "frames_ask: whole frames look at the faces near them; faces_ask: faces look at the frames near them, and their mean is "
         "one more token of the frame.")
      .only_if(o.enabled, when);
  option("zero_start", o.zero_start,
         "The output of the global-local attention starts at 0, so that an untrained face branch changes nothing.")
      .only_if(o.enabled, when);
}

enum class Pooling {
  qformer,
  attention,  ///< one token: a sum weighted by linear scores, without a softmax (AffectGPT 2025)
};
constexpr auto names_of(Pooling) {
  return std::array{std::pair{Pooling::qformer, "qformer"}, std::pair{Pooling::attention, "attention"}};
}

/// How the tokens of frames become those of the clip.
enum class VideoPooling {
  qformer,
  attention,  ///< one token: a sum weighted by linear scores, without a softmax (AffectGPT 2025)
  patches,    ///< those of a single frame, some neighbours side by side in each token (MiniGPT-v2, Emotion-LLaMA)
};
constexpr auto names_of(VideoPooling) {
  return std::array{std::pair{VideoPooling::qformer, "qformer"}, std::pair{VideoPooling::attention, "attention"},
                    std::pair{VideoPooling::patches, "patches"}};
}

struct VideoQFormerOptions {
  VideoPooling pooling = VideoPooling::qformer;
  int64_t merge = 4;
  QFormerStyle style = QFormerStyle::plain;
  WindowOptions window = {};
  int64_t queries = 4, layers = 2, heads = 4, width = 0, hidden = 0, positions = 0;
  bool nothing_token = true;
  double dropout = 0;
};
template <class Visitor>
void describe(Visitor& option, VideoQFormerOptions& o) {
  const std::string when = "model.video_qformer.pooling is qformer";
  const bool reads = o.pooling == VideoPooling::qformer;
  option(
      "pooling", o.pooling,
      "qformer: query tokens for every window; attention: one token for the clip (AffectGPT 2025); patches: the patches of its "
      "only frame, without a Q-Former (MiniGPT-v2, Emotion-LLaMA).");
  option("merge", o.merge, "Neighbouring patches that stand side by side in one token; queries times merge is all of a frame's.")
      .min(1)
      .max(1024)
      .only_if(o.pooling == VideoPooling::patches, "model.video_qformer.pooling is patches");
  option("style", o.style, "plain: norms before; bert: norms behind, as in Video-LLaMA and TimeChat.").only_if(reads, when);
  describe_windows(option, o.window, "model.video_qformer", "frames", reads, when);
  option("queries", o.queries, "Query tokens of each window; tokens of the frame where its patches are taken.")
      .min(1)
      .max(4096)
      .only_if(o.pooling != VideoPooling::attention, "model.video_qformer.pooling is qformer or patches");
  option("layers", o.layers, "Q-Former layers.").min(1).max(256).only_if(reads, when);
  option("heads", o.heads, "Attention heads.").min(1).max(256).only_if(reads, when);
  option("width", o.width, "Channels of a query token; 0 takes those of a frame's tokens.").min(0).max(8192).only_if(reads, when);
  option("hidden", o.hidden, "Hidden channels of each layer's MLP; 0 takes 4 width.").min(0).max(1 << 16).only_if(reads, when);
  option("positions", o.positions, "Learned positions by a frame's number; 0: sine and cosine features of its time.")
      .min(0)
      .max(1 << 20)
      .only_if(reads, when);
  option("nothing_token", o.nothing_token, "A clip without a picture reads a learned token; false refuses such clips.")
      .only_if(reads, when);
  option("dropout", o.dropout, qformer_dropout_text).min(0).below(1).only_if(reads, when);
}

}  // namespace microemo::model
